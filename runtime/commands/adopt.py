"""The command `adopt`.

Owns arguments, output and exit code.
"""

import contextlib
from typing import TYPE_CHECKING

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    bar,
    print_json,
    print_table,
    settings_from_environment,
    with_repository,
)

if TYPE_CHECKING:
    from runtime.adopt import Adopted
    from runtime.repository.repository import Repository
    from runtime.repository.store import Store
    from runtime.run_sink import Progress
    from runtime.settings import Settings


@click.command(epilog=EXIT_CODES)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--name", help="The collection's name, when the snapshot's name does not tell it; for one SOURCE.")
@as_json
def adopt(sources: tuple[str, ...], name: str | None, *, as_json: bool) -> None:
    """Make stock Qdrant snapshots the first backup of a new lineage.

    SOURCE is a local file, the name or prefix of objects below BACKUP_URL (2026/11/22/ takes the newest snapshot of
    each collection there, by the time in its name), or gs://BUCKET/NAME. A .checksum beside a snapshot is checked.
    Qdrant recovers them in a scratch directory beside QDRANT_STORAGE_DIR, which needs room for the snapshots and what
    they hold. Aliases are no part of snapshots. Refuses a lineage that holds data.
    """
    from runtime.run_sink import Progress  # noqa: PLC0415

    settings, progress = settings_from_environment(), Progress()
    with bar(progress, "Adopting", quiet=as_json):
        done = with_repository(settings, lambda repository: _run(repository, sources, name, settings, progress))
    headings = ("collection", "points", "source")
    rows = [(one.collection, done.manifest.collections[one.collection].points, one.where) for one in done.sources]
    if as_json:
        print_json({"backup": done.backup, "collections": [dict(zip(headings, row, strict=True)) for row in rows]})
        return
    print_table(headings, ([str(cell) for cell in row] for row in rows), right=("points",))
    click.echo(f"Backup {done.backup} is the first one. Compare the points with what you know, then start an instance")


async def _run(
    repository: "Repository", sources: tuple[str, ...], name: str | None, settings: "Settings", progress: "Progress"
) -> "Adopted":
    from runtime.adopt import adopt as work  # noqa: PLC0415
    from runtime.repository.open import open_store  # noqa: PLC0415
    from runtime.stock_sources import find_sources  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as opened:

        def store_of(text: str) -> "tuple[Store, str]":
            if not text.startswith("gs://"):
                return repository.store, text
            bucket, _, prefix = text.removeprefix("gs://").partition("/")
            store = open_store(f"gs://{bucket}", emulator_host=settings.emulator_host, project=settings.project)
            opened.push_async_callback(store.close)
            return store, prefix

        return await work(repository, await find_sources(sources, name, store_of), settings, progress)
