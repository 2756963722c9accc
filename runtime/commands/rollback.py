"""The command `rollback`.

Owns arguments, output and exit code.
"""

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    print_json,
    print_table,
    settings_from_environment,
    waiting,
    with_repository,
)


@click.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Show what would change, commit nothing.")
@as_json
def rollback(identifier: str, *, dry_run: bool, as_json: bool) -> None:
    """Go back to backup ID: commit its content as the newest backup.

    The running writer, if any, saves what it has and hands over; what it served stays in the list. Within seconds it
    serves the backup that was gone back to, and with the next write it is the writer again. Refuses a backup that is
    unknown, was never committed, or is damaged.
    """
    from runtime.rollback import rollback as work  # noqa: PLC0415

    settings = settings_from_environment()
    with waiting("Waiting for the writer to hand over", quiet=as_json or dry_run):
        done = with_repository(settings, lambda repository: work(repository, identifier, settings, dry_run=dry_run))
    facts = done.facts()
    if as_json:
        print_json({**facts, "dry_run": dry_run})
        return
    rows = ((name, *(_count(both[when]) for when in ("now", "then"))) for name, both in facts["points"].items())
    print_table(("collection", f"now ({done.newest_before})", f"then ({done.to})"), rows)
    click.echo(
        "Nothing was changed." if dry_run else f"Backup {done.committed} is the newest: the content of {done.to}"
    )


def _count(points: int | None) -> str:
    return "-" if points is None else f"{points:,}"
