"""The command `rollback`.

Owns arguments, output and exit code.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    bar,
    print_json,
    print_table,
    settings_from_environment,
    waiting,
    with_repository,
)
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from runtime.settings import Settings


@click.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--at", metavar="TIME", help="Go back to TIME: ISO 8601 with a zone, 2026-11-26T21:30:00Z.")
@click.option("--before", metavar="WRITE", help="Go back to just before WRITE, as `journal show` names it: 3/17/0.")
@click.option("--skip", multiple=True, metavar="RECORD", help="Leave out a record of the journal, as 3/17/0.")
@click.option("--dry-run", is_flag=True, help="Show what would change, commit nothing.")
@as_json
def rollback(
    identifier: str | None,
    at: str | None,
    before: str | None,
    skip: tuple[str, ...],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Go back to backup ID, to TIME or to before WRITE: commit what was there as the newest backup.

    The running writer, if any, saves what it has and hands over; what it served stays in the list. Within seconds it
    serves what was gone back to, and with the next write it is the writer again. For a moment, a Qdrant (QDRANT_BIN) in
    a scratch directory beside QDRANT_STORAGE_DIR is brought there first, while the writer goes on. --skip alone goes to
    the journal's end without that record. Refuses a backup that is unknown, was never committed, or is damaged.
    """
    settings = settings_from_environment()
    if identifier is None:
        _to_a_moment(settings, at, before, skip, dry_run=dry_run, as_json=as_json)
    elif at is not None or before is not None or skip:
        raise ConfigError("ID names a backup, --at, --before and --skip a moment", hint="Give one or the other")
    else:
        _to_a_backup(settings, identifier, dry_run=dry_run, as_json=as_json)


def _to_a_backup(settings: "Settings", identifier: str, *, dry_run: bool, as_json: bool) -> None:
    from runtime.rollback import rollback as work  # noqa: PLC0415

    with waiting("Waiting for the writer to hand over", quiet=as_json or dry_run):
        done = with_repository(settings, lambda repository: work(repository, identifier, settings, dry_run=dry_run))
    _tell(done.facts(), done.to, dry_run=dry_run, as_json=as_json)


def _to_a_moment(
    settings: "Settings", at: str | None, before: str | None, skip: Sequence[str], *, dry_run: bool, as_json: bool
) -> None:
    from runtime.commands.restore import told  # noqa: PLC0415
    from runtime.moment import Moment  # noqa: PLC0415
    from runtime.rewind import rewind as work  # noqa: PLC0415
    from runtime.rollback import points_then_and_now  # noqa: PLC0415
    from runtime.run_sink import Progress  # noqa: PLC0415

    moment, progress = Moment.parse(at, before), Progress()
    if moment.is_the_end and not skip:
        raise ConfigError(
            "nothing says where to go back to", hint="Give ID, --at TIME, --before WRITE or --skip RECORD"
        )
    with bar(progress, "Placing the nearest backup", quiet=as_json):
        done = with_repository(
            settings, lambda repository: work(repository, moment, settings, progress, skip=skip, dry_run=dry_run)
        )
    facts = {
        "backup": done.committed,
        "to": str(moment),
        "from": done.base,
        "newest_before": done.newest_before,
        "points": points_then_and_now(done.now, done.points),
        "journal": told(done.replayed, done.moment),
    }
    _tell(facts, str(moment), dry_run=dry_run, as_json=as_json)


def _tell(facts: Mapping[str, Any], to: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**facts, "dry_run": dry_run})
        return
    rows = ((name, *(_count(both[when]) for when in ("now", "then"))) for name, both in facts["points"].items())
    print_table(("collection", f"now ({facts['newest_before']})", f"then ({to})"), rows)
    if (journal := facts.get("journal")) is not None:
        last = f", the last of {journal['last_write_at']}" if journal["last_write_at"] else ""
        click.echo(f"From backup {facts['from']} and {journal['records']:,} writes of the journal{last}.")
    click.echo("Nothing was changed." if dry_run else f"Backup {facts['backup']} is the newest: the content of {to}")


def _count(points: int | None) -> str:
    return "-" if points is None else f"{points:,}"
