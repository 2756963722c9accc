"""The command `export`.

Owns arguments, output and exit code.
"""

from dataclasses import asdict
from pathlib import Path

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    bar,
    print_json,
    settings_from_environment,
    with_repository,
)


@click.command(epilog=EXIT_CODES)
@click.argument("collection")
@click.argument("identifier", metavar="ID", required=False)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A file, not exports/ in the bucket.")
@as_json
def export(collection: str, identifier: str | None, to: Path | None, *, as_json: bool) -> None:
    """Write COLLECTION as of backup ID (the newest if not given) as a stock Qdrant snapshot.

    Any Qdrant of the same or the next minor version takes it: `qdrant --snapshot FILE:NAME`, or its routes
    `snapshots/upload` and `snapshots/recover`. Aliases are no part of such a file.
    """
    from runtime.export import export as work  # noqa: PLC0415
    from runtime.run_sink import Progress  # noqa: PLC0415

    progress = Progress()
    with bar(progress, "Exporting", quiet=as_json):
        done = with_repository(
            settings_from_environment(), lambda repository: work(repository, collection, identifier, to, progress)
        )
    if as_json:
        print_json(asdict(done))
        return
    points = "an unknown number of" if done.points is None else f"{done.points:,}"
    click.echo(
        f"Exported {done.collection} as of backup {done.backup}: {points} points, {done.bytes:,} bytes, to {done.to}"
    )
    click.echo(f"SHA-256 {done.sha256}")
