"""The commands: what a person or a job types.

Owns arguments, output and exit codes; each command's work is elsewhere and imported late, so that `--help` and
`serve` start at once. People get a table or a sentence, `--json` gives one JSON document.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime import contract, logs, serving
from runtime.commands.adopt import adopt
from runtime.commands.doctor import doctor
from runtime.commands.export import export
from runtime.commands.journal import journal
from runtime.commands.prune import prune
from runtime.commands.repair import repair
from runtime.commands.rollback import rollback
from runtime.commands.sync import sync
from runtime.commands.terminal import (
    EXIT_CODES,
    as_json,
    print_json,
    print_table,
    settings_from_environment,
    with_repository,
)
from runtime.commands.verify import verify
from runtime.errors import ConfigError, NothingThere, RuntimeFailure

if TYPE_CHECKING:
    from runtime.repository.repository import Repository

_MAY_FIND_NOTHING = ("verify", "prune")


@click.group(epilog=EXIT_CODES)
def cli() -> None:
    """Qdrant, its data kept by a bucket. Settings come from the environment: docs/configuration.md."""


@cli.command(epilog=EXIT_CODES)
@as_json
def serve(*, as_json: bool) -> None:
    """Restore, serve, back up, hand over. Logs are JSON lines either way."""
    del as_json
    status = serving.serve()
    if status:
        raise click.exceptions.Exit(status)


@cli.command(epilog=EXIT_CODES)
@as_json
def backup(*, as_json: bool) -> None:
    """Make the instance on this machine save now."""
    from runtime.client import Backups  # noqa: PLC0415

    settings = settings_from_environment()
    saved = Backups(f"http://127.0.0.1:{settings.agent_port}", settings.api_key).backup()
    if as_json:
        print_json(asdict(saved))
    else:
        state = "Saved" if saved.committed else "Nothing to save since"
        click.echo(f"{state} backup {saved.backup} ({saved.packed_bytes:,} bytes in {saved.seconds} s)")
    if not saved.committed:
        raise click.exceptions.Exit(NothingThere.exit_code)


@cli.command(epilog=EXIT_CODES)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--at", metavar="TIME", help="As it was at TIME: ISO 8601 with a zone, 2026-11-26T21:30:00Z.")
@click.option("--skip", multiple=True, metavar="RECORD", help="Leave out a record that Qdrant refuses, as 3/17/0.")
@click.option("--backup-only", is_flag=True, help="The newest intact backup, without the journal.")
@click.option("--id", "identifier", help="This backup, without the journal.")
@as_json
def restore(
    directory: Path,
    at: str | None,
    skip: tuple[str, ...],
    identifier: str | None,
    *,
    backup_only: bool,
    as_json: bool,
) -> None:
    """Make DIRECTORY (new or empty) a Qdrant storage directory: the newest backup and every write after it.

    Each byte of the backup is checked. What the journal holds beyond it is done again by a Qdrant on DIRECTORY
    (QDRANT_BIN), up to the last acknowledged write, or to TIME. Nothing is claimed: a running instance goes on.
    """
    from runtime.commands.restore import Wanted, restore_to  # noqa: PLC0415
    from runtime.moment import Moment  # noqa: PLC0415

    settings = settings_from_environment()
    wanted = Wanted(Moment.parse(at, None), identifier, backup_only, skip)
    done = with_repository(
        settings, lambda repository: restore_to(repository, directory, wanted, settings, quiet=as_json)
    )
    if as_json:
        print_json(done)
        return
    journal = done["journal"]
    more = f" and {journal['records']:,} writes from the journal, to {journal['until']}" if journal else ""
    base = f"backup {done['id']}" if done["id"] else "no backup"
    click.echo(f"Restored {base}{more}: {done['points']} points, {done['bytes']:,} bytes, in {directory}")


@cli.command("list", epilog=EXIT_CODES)
@click.option("--limit", default=50, show_default=True, help="How many of the newest to show; 0 shows all.")
@as_json
def list_(limit: int, *, as_json: bool) -> None:
    """List the committed backups, newest first, and from when to when any moment can be reached."""
    found, start, end = with_repository(settings_from_environment(), lambda repository: _listed(repository, limit))
    if as_json:
        print_json({"backups": found, "reachable": {"from": start, "to": end}})
    elif found:
        _print_backups(found)
    if not as_json and start:
        click.echo(f"Any moment from {start} to {end} can be reached: `restore DIR --at TIME`, `rollback --at TIME`")
    if not found:
        raise NothingThere("there is no backup yet", hint="Check BACKUP_URL, or write something and wait")


@cli.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID", required=False)
@as_json
def show(identifier: str | None, *, as_json: bool) -> None:
    """Show one backup; the newest if no ID is given."""
    from runtime.repository.catalogue import describe  # noqa: PLC0415

    found = with_repository(settings_from_environment(), lambda repository: describe(repository, identifier))
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, detail in value.items():
                click.echo(f"  {name}: {detail}")
        else:
            click.echo(f"{key}: {value}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code. Every failure ends here, as a sentence and what to do."""
    arguments = sys.argv[1:] if arguments is None else arguments
    status = _run(arguments)
    return _end_of_job(arguments, status) if contract.IN_A_JOB in os.environ else status


def _run(arguments: Sequence[str]) -> int:
    try:
        status = cli.main(list(arguments), standalone_mode=False, prog_name="python -m runtime")
    except RuntimeFailure as failure:
        return _fail(failure, arguments)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return ConfigError.exit_code
    except click.Abort:
        return 130
    return status if isinstance(status, int) else 0


def _fail(failure: RuntimeFailure, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        print_json({"error": failure.message, "hint": failure.hint, "exit_code": failure.exit_code})
    if "serve" in arguments[:1]:
        serving.tell(failure)
        return failure.exit_code
    click.echo(f"Error: {failure.message}", err=True)
    if failure.hint:
        click.echo(f"Try: {failure.hint}", err=True)
    return failure.exit_code


def _end_of_job(arguments: Sequence[str], status: int) -> int:
    """Log how a job ended, for the alert on it. To Cloud Run nothing but 0 is done.

    On its first days a bucket has no backup to verify or to prune: nothing is wrong then. A source of a pull that
    holds nothing is another matter.
    """
    logs.configure_for_command()
    log, command = logs.get_logger(), " ".join(arguments)
    if status == NothingThere.exit_code and arguments[0] in _MAY_FIND_NOTHING:
        log.warning("job.nothing_to_do", message=f"There was nothing to do for {command}", command=command)
        return 0
    if status:
        message = f"{command} ended with exit code {status}; the lines before this one say why"
        log.error("job.failed", message=message, command=command, exit_code=status)
    return status


async def _listed(repository: "Repository", limit: int) -> tuple[list[dict[str, Any]], str | None, str | None]:
    from runtime.reach import reach  # noqa: PLC0415
    from runtime.repository.catalogue import details  # noqa: PLC0415

    found = await details(repository, limit or None)
    state = await repository.head()
    known = await reach(repository, state.head) if state else None
    times = (known.start, known.end) if known else (None, None)
    start, end = (None if at is None else at.isoformat(timespec="milliseconds") for at in times)
    return found, start, end


def _print_backups(backups: list[dict[str, Any]]) -> None:
    headings = ("id", "created", "reason", "points", "bytes", "qdrant")
    print_table(headings, (_row(entry) for entry in backups), right=("points", "bytes"))


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    if entry.get("damaged"):
        return entry["id"], f"damaged: {entry['damaged']}"
    return (
        entry["id"] + (" (newest)" if entry["newest"] else ""),
        entry["created_at"],
        entry["reason"],
        f"{entry['points']:,}",
        f"{entry['live_bytes']:,}",
        entry["qdrant_version"],
    )


for command in (verify, prune, rollback, repair, export, adopt, doctor, sync, journal):
    cli.add_command(command)
