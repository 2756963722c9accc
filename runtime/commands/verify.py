"""The command `verify`.

Owns arguments, output and exit code.
"""

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
from runtime.errors import IntegrityError


@click.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID", required=False)
@click.option("--deep", is_flag=True, help="Download and hash every file, start Qdrant on them and compare.")
@as_json
def verify(identifier: str | None, *, deep: bool, as_json: bool) -> None:
    """Verify a backup; the newest if no ID is given.

    Without --deep: HEAD, the manifest, and every pack's size and CRC32C as the store states them (one listing).
    With --deep: everything is restored into a scratch directory beside QDRANT_STORAGE_DIR, hashed, opened by Qdrant
    and counted; the verdict is kept in the bucket, and `prune` never removes the newest backup with a good one.
    """
    from runtime.run_sink import Progress  # noqa: PLC0415
    from runtime.verify import ADVICE, look, restore_and_compare  # noqa: PLC0415

    settings, progress = settings_from_environment(), Progress()
    with bar(progress, "Verifying", quiet=as_json):
        found = with_repository(
            settings,
            lambda repository: (
                restore_and_compare(repository, identifier, settings, progress)
                if deep
                else look(repository, identifier)
            ),
        )
    if as_json:
        print_json(found.facts())
    elif found.ok:
        held = f", {found.points:,} points" if found.points is not None else ""
        click.echo(f"Backup {found.backup} is good ({found.depth}): {found.packs} packs, {found.bytes:,} bytes{held}")
    else:
        print_table(("damaged", "problem"), ((damage.what, damage.problem) for damage in found.damage))
        click.echo(f"Backup {found.backup} is damaged ({found.depth}).\nTry: {ADVICE}", err=True)
    if not found.ok:
        raise click.exceptions.Exit(IntegrityError.exit_code)
