"""The commands: what a person or a job types.

Owns arguments, output and exit codes; each command's work is elsewhere and imported late, so that `--help` and
`serve` start at once. People get a table or a sentence, `--json` gives one JSON document.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtime import logs
from runtime.errors import ConfigError, NothingThere, RuntimeFailure
from runtime.settings import Settings

if TYPE_CHECKING:
    from runtime.repository.repository import Repository

T = TypeVar("T")

EXIT_CODES = """\b
Exit codes: 0 done, 1 failed, 2 configuration, 3 nothing to do or not found,
4 integrity, 5 not the writer, 6 store unreachable or refused."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


@click.group(epilog=EXIT_CODES)
def cli() -> None:
    """Qdrant, its data kept by a bucket. Settings come from the environment: docs/configuration.md."""


@cli.command(epilog=EXIT_CODES)
@as_json
def serve(*, as_json: bool) -> None:
    """Restore, serve, back up, hand over. Logs are JSON lines either way."""
    del as_json
    settings = _settings()
    logs.configure(settings.log_level)
    import uvloop  # noqa: PLC0415

    from runtime.supervisor import serve as run  # noqa: PLC0415

    status = uvloop.run(run(settings))
    if status:
        raise click.exceptions.Exit(status)


@cli.command(epilog=EXIT_CODES)
@as_json
def backup(*, as_json: bool) -> None:
    """Make the instance on this machine save now."""
    from runtime.agent_client import snapshot  # noqa: PLC0415

    answer = asyncio.run(snapshot(_settings()))
    if as_json:
        _print_json(answer)
    else:
        state = "Saved" if answer["committed"] else "Nothing to save since"
        click.echo(f"{state} backup {answer['backup']} ({answer['packed_bytes']:,} bytes in {answer['seconds']} s)")
    if not answer["committed"]:
        raise click.exceptions.Exit(NothingThere.exit_code)


@cli.command(epilog=EXIT_CODES)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--id", "identifier", help="The backup to restore; the newest intact one if not given.")
@as_json
def restore(directory: Path, identifier: str | None, *, as_json: bool) -> None:
    """Place a backup in DIRECTORY (new or empty) as a Qdrant storage directory, every byte checked."""
    from runtime.commands.restore import restore_to  # noqa: PLC0415

    settings = _settings()
    done = _with_repository(
        settings, lambda repository: restore_to(repository, directory, identifier, settings, quiet=as_json)
    )
    if as_json:
        _print_json(done)
    else:
        click.echo(f"Restored backup {done['id']}: {done['points']} points, {done['bytes']:,} bytes, in {directory}")


@cli.command("list", epilog=EXIT_CODES)
@click.option("--limit", default=50, show_default=True, help="How many of the newest to show; 0 shows all.")
@as_json
def list_(limit: int, *, as_json: bool) -> None:
    """List the committed backups, newest first."""
    from runtime.repository.catalogue import details  # noqa: PLC0415

    found = _with_repository(_settings(), lambda repository: details(repository, limit or None))
    if as_json:
        _print_json({"backups": found})
    elif found:
        _print_table(found)
    if not found:
        raise NothingThere("there is no backup yet", hint="Check BACKUP_URL, or write something and wait")


@cli.command(epilog=EXIT_CODES)
@click.argument("identifier", metavar="ID", required=False)
@as_json
def show(identifier: str | None, *, as_json: bool) -> None:
    """Show one backup; the newest if no ID is given."""
    from runtime.repository.catalogue import describe  # noqa: PLC0415

    found = _with_repository(_settings(), lambda repository: describe(repository, identifier))
    if as_json:
        _print_json(found)
        return
    for key, value in found.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, detail in value.items():
                click.echo(f"  {name}: {detail}")
        else:
            click.echo(f"{key}: {value}")


def main() -> int:
    """Run a command; return the exit code. Every failure ends here, as a sentence and what to do."""
    try:
        status = cli.main(standalone_mode=False)
    except RuntimeFailure as failure:
        return _fail(failure)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return ConfigError.exit_code
    except click.Abort:
        return 130
    return status if isinstance(status, int) else 0


def _fail(failure: RuntimeFailure) -> int:
    if "--json" in sys.argv:
        _print_json({"error": failure.message, "hint": failure.hint, "exit_code": failure.exit_code})
    if "serve" in sys.argv[1:2]:
        logs.configure("INFO")
        logs.get_logger().error("start.failed", message=str(failure), exit_code=failure.exit_code)
    click.echo(f"Error: {failure.message}", err=True)
    if failure.hint:
        click.echo(f"Try: {failure.hint}", err=True)
    return failure.exit_code


def _settings() -> Settings:
    return Settings.from_env(os.environ)


def _with_repository(settings: Settings, work: "Callable[[Repository], Coroutine[Any, Any, T]]") -> T:
    from runtime.repository.open import open_store  # noqa: PLC0415
    from runtime.repository.repository import Repository  # noqa: PLC0415

    async def run() -> T:
        store = open_store(
            settings.effective_backup_url, emulator_host=settings.emulator_host, project=settings.project
        )
        try:
            return await work(Repository(store))
        finally:
            await store.close()

    return asyncio.run(run())


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=1, default=str))


def _print_table(backups: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for heading in ("id", "created", "reason", "points", "bytes", "qdrant"):
        table.add_column(heading, justify="right" if heading in ("points", "bytes") else "left")
    for entry in backups:
        if entry.get("damaged"):
            table.add_row(entry["id"], f"[red]damaged: {entry['damaged']}[/red]")
            continue
        table.add_row(
            entry["id"] + (" (newest)" if entry["newest"] else ""),
            entry["created_at"],
            entry["reason"],
            f"{entry['points']:,}",
            f"{entry['live_bytes']:,}",
            entry["qdrant_version"],
        )
    Console().print(table)
