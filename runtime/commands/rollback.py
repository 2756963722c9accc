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

    The running writer, if any, saves what it has and hands over; what it served stays in the list. It answers reads as
    before until its next write (or a restart), for which it places the backup that was gone back to. Refuses a backup
    that is unknown, was never committed, or is damaged.
    """
    from runtime.rollback import rollback as work  # noqa: PLC0415

    settings = settings_from_environment()
    with waiting("Waiting for the writer to hand over", quiet=as_json or dry_run):
        done = with_repository(settings, lambda repository: work(repository, identifier, settings, dry_run=dry_run))
    now, then = (done.now.collections if done.now else {}), done.then.collections
    counts = {
        name: {
            when: entries[name].points if name in entries else None for when, entries in (("now", now), ("then", then))
        }
        for name in sorted({*now, *then})
    }
    if as_json:
        facts = {"backup": done.committed, "to": done.to, "newest_before": done.newest_before, "points": counts}
        print_json({**facts, "dry_run": dry_run})
        return
    rows = ((name, *(_count(both[when]) for when in ("now", "then"))) for name, both in counts.items())
    print_table(("collection", f"now ({done.newest_before})", f"then ({done.to})"), rows)
    click.echo(
        "Nothing was changed." if dry_run else f"Backup {done.committed} is the newest: the content of {done.to}"
    )


def _count(points: int | None) -> str:
    return "-" if points is None else f"{points:,}"
