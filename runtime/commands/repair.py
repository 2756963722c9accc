"""The command `repair`.

Owns arguments, output and exit code.
"""

from typing import TYPE_CHECKING

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    print_json,
    print_table,
    settings_from_environment,
    with_repository,
)

if TYPE_CHECKING:
    from runtime.repair import Repair
    from runtime.repository.repository import Repository


@click.command(epilog=EXIT_CODES)
@click.option("--yes", is_flag=True, help="Do it. Without this the command only shows what it would do.")
@as_json
def repair(*, yes: bool, as_json: bool) -> None:
    """Rebuild HEAD from the backups that are there, when it is lost or damaged.

    Takes the newest intact manifest: the highest epoch, and of that the highest number. If its writer died between
    writing it and changing HEAD, that manifest was never committed; it is a whole backup all the same. A writer that
    still runs loses the lineage and stands by. Refuses when HEAD is fine.
    """
    found = with_repository(settings_from_environment(), lambda repository: _run(repository, yes=yes))
    looked_at = [(one.name, one.problem or "intact: HEAD will name this one") for one in found.looked_at]
    if as_json:
        print_json(
            {
                "wrong": found.wrong,
                "looked_at": [{"manifest": name, "finding": finding} for name, finding in looked_at],
                "head": {
                    "lineage": found.head.lineage,
                    "epoch": found.head.epoch,
                    "seq": found.head.seq,
                    "manifest": found.head.manifest,
                },
                "done": yes,
            }
        )
        return
    click.echo(f"{found.wrong}.")
    print_table(("manifest", "finding"), looked_at)
    verb = "HEAD now names" if yes else "HEAD would name"
    click.echo(f"{verb} {found.head.manifest}, epoch {found.head.epoch}, lineage {found.head.lineage}.")
    if not yes:
        click.echo("Nothing was changed: add --yes to do it.")


async def _run(repository: "Repository", *, yes: bool) -> "Repair":
    from runtime.repair import carry_out, plan  # noqa: PLC0415

    found = await plan(repository)
    if yes:
        await carry_out(repository, found)
    return found
