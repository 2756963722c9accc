"""The commands `sync pull` and `sync push`.

Owns arguments, output and exit codes.
"""

import asyncio
import signal
from collections.abc import Coroutine
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
from runtime.errors import NothingThere, RuntimeFailure

if TYPE_CHECKING:
    from runtime.sync.report import Report

_overwrite = click.option("--overwrite", is_flag=True, help="Let the side that is read win where both changed.")
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would happen, change nothing.")
_unchanged_ok = click.option("--unchanged-ok", is_flag=True, help="Exit 0, not 3, when nothing changed: for schedules.")


@click.group(epilog=EXIT_CODES)
def sync() -> None:
    """Bring the repository and a Qdrant elsewhere to the same state: docs/hybrid.md."""


@sync.command(epilog=EXIT_CODES)
@_overwrite
@_unchanged_ok
@_dry_run
@as_json
def pull(*, overwrite: bool, unchanged_ok: bool, dry_run: bool, as_json: bool) -> None:
    """Commit what SOURCE_URL holds as the newest backup, if it changed.

    Collections come as snapshots where one node holds everything, else point by point; each is compared before
    anything is committed. Needs room for all that changed beside QDRANT_STORAGE_DIR. A run that was killed goes on
    from where it was. Writes nothing to the source but a snapshot, which it deletes again.
    """
    from runtime.run_sink import Progress  # noqa: PLC0415
    from runtime.sync.pull import pull as work  # noqa: PLC0415

    settings, progress = settings_from_environment(), Progress()
    with bar(progress, "Pulling", quiet=as_json):
        done = with_repository(
            settings,
            lambda repository: _stoppable(work(repository, settings, progress, overwrite=overwrite, dry_run=dry_run)),
        )
    _finish(done, unchanged_ok=unchanged_ok, as_json=as_json)


@sync.command(epilog=EXIT_CODES)
@_overwrite
@click.option("--delete-surplus", is_flag=True, help="Delete points of the target that the backup does not have.")
@_unchanged_ok
@_dry_run
@as_json
def push(*, overwrite: bool, delete_surplus: bool, unchanged_ok: bool, dry_run: bool, as_json: bool) -> None:
    """Bring the newest backup to TARGET_URL, and compare.

    Collections that the target does not have are recovered there from a stock snapshot by a signed URL, where the
    bucket can sign and the target can reach it; else they are written point by point. Refuses collections that are
    there already, unless --overwrite. Collections and aliases that the backup does not have stay as they are.
    """
    from runtime.run_sink import Progress  # noqa: PLC0415
    from runtime.sync.push import Told  # noqa: PLC0415
    from runtime.sync.push import push as work  # noqa: PLC0415

    settings, progress = settings_from_environment(), Progress()
    told = Told(overwrite=overwrite, delete_surplus=delete_surplus, dry_run=dry_run)
    with bar(progress, "Pushing", quiet=as_json):
        done = with_repository(settings, lambda repository: _stoppable(work(repository, settings, progress, told)))
    _finish(done, unchanged_ok=unchanged_ok, as_json=as_json)


async def _stoppable(work: "Coroutine[Any, Any, Report]") -> "Report":
    """Let SIGTERM end it as an error does: what was made on the other side is taken away again."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        raise RuntimeFailure("the sync was told to stop", hint="Run it again: it goes on from where it was") from None


def _finish(done: "Report", *, unchanged_ok: bool, as_json: bool) -> None:
    if as_json:
        print_json(done.facts())
    else:
        click.echo(f"Here: {done.here}. There: {done.there}.")
        rows = ((one.collection, one.status, one.by, _number(one.points), one.why) for one in done.outcomes)
        print_table(("collection", "status", "by", "points", "why"), rows, right=("points",))
        click.echo(_sentence(done))
    if done.failed:
        raise click.exceptions.Exit(RuntimeFailure.exit_code)
    if done.unchanged and not unchanged_ok and not done.dry_run:
        raise click.exceptions.Exit(NothingThere.exit_code)


def _sentence(done: "Report") -> str:
    if done.dry_run:
        refused = f"It would be refused: {done.refusal.message}\nTry: {done.refusal.hint}\n" if done.refusal else ""
        return f"{refused}Nothing was changed."
    if done.backup is None:
        return "Nothing changed since the last time." if done.unchanged else "Nothing was done."
    verb = "Committed" if done.direction == "pull" else "Pushed"
    failed = sum(one.status == "failed" for one in done.outcomes)
    return f"{verb} backup {done.backup}" + (f"; {failed} collections failed, run it again" if failed else "")


def _number(points: int | None) -> str:
    return "" if points is None else f"{points:,}"
