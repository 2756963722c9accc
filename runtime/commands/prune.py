"""The command `prune`.

Owns arguments, output and exit code.
"""

import datetime as dt
from typing import TYPE_CHECKING, Any

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
from runtime.repository import names

if TYPE_CHECKING:
    from runtime.prune import Pruned

_COUNT = click.IntRange(min=0)


@click.command(epilog=EXIT_CODES)
@click.option("--keep-last", type=_COUNT, default=10, show_default=True, help="Keep the newest N backups.")
@click.option("--keep-hourly", type=_COUNT, default=24, show_default=True, help="And the newest of each of N hours.")
@click.option("--keep-daily", type=_COUNT, default=7, show_default=True, help="And the newest of each of N days.")
@click.option("--keep-weekly", type=_COUNT, default=4, show_default=True, help="And the newest of each of N weeks.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="Delete nothing that was superseded less than this before the newest backup: longer than any restore takes.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go and stay, delete nothing.")
@as_json
def prune(
    *,
    keep_last: int,
    keep_hourly: int,
    keep_daily: int,
    keep_weekly: int,
    grace: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete the backups that no --keep-… option keeps, the packs that only they need, and old journal objects.

    Counted from the newest backup, not from today; periods without a backup do not count. Always stay: the newest
    backup, the newest one that `verify --deep` found good, everything within the grace, and what any moment of the last
    RECOVERY_WINDOW_HOURS is reached from, with the journal that leads from all of these to now. Deletes nothing while
    an instance takes over, and nothing when the newest backup is damaged.
    """
    from runtime.prune import prune as work  # noqa: PLC0415
    from runtime.repository.retention import Policy  # noqa: PLC0415
    from runtime.run_sink import Progress  # noqa: PLC0415

    settings, progress = settings_from_environment(), Progress()
    window = dt.timedelta(hours=settings.recovery_window_hours)
    policy = Policy(keep_last, keep_hourly, keep_daily, keep_weekly, dt.timedelta(hours=grace), window)
    with bar(progress, "Pruning", quiet=as_json):
        done = with_repository(
            settings,
            lambda repository: work(repository, policy, progress, now=dt.datetime.now(dt.UTC), dry_run=dry_run),
        )
    if as_json:
        print_json(_facts(done))
        return
    if dry_run:
        print_table(("stays", "because"), ((name, ", ".join(why)) for name, why in done.plan.kept.items()))
        gone = (*done.plan.orphans, *done.plan.backups, *done.plan.packs, *_journal(done))
        print_table(("goes",), ([name] for name in gone))
    verb = "Would delete" if dry_run else "Deleted"
    click.echo(
        f"{verb} {len(done.plan.backups)} backups, {len(done.plan.orphans)} manifests never committed and "
        f"{len(done.plan.packs)} packs and {len(done.plan.journal)} journal objects ({done.bytes:,} bytes); "
        f"{len(done.plan.kept)} backups stay"
    )


def _facts(done: "Pruned") -> dict[str, Any]:
    return {
        "dry_run": done.dry_run,
        "deleted": {
            "backups": done.plan.backups,
            "never_committed": done.plan.orphans,
            "packs": done.plan.packs,
            "journal": _journal(done),
            "verdicts": done.verdicts,
            "meetings": done.meetings,
            "bytes": done.bytes,
        },
        "kept": done.plan.kept,
    }


def _journal(done: "Pruned") -> list[str]:
    return [names.journal(at.epoch, at.n) for at in done.plan.journal]
