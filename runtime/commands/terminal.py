"""What the commands share: options, the repository they work on, and how they print.

Owns no command. Slow imports are made when they are used.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtime import logs
from runtime.settings import Settings

if TYPE_CHECKING:
    from runtime.repository.repository import Repository
    from runtime.run_sink import Progress

T = TypeVar("T")

_NO_WIDTH = 10_000

EXIT_CODES = """\b
Exit codes: 0 done, 1 failed, 2 configuration, 3 nothing to do or not found,
4 integrity, 5 not the writer, 6 store unreachable or refused."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def settings_from_environment() -> Settings:
    """Return the settings; only what serves clients needs their keys. Raises ConfigError."""
    return Settings.from_env(os.environ, serves=False)


def with_repository(settings: Settings, work: "Callable[[Repository], Coroutine[Any, Any, T]]") -> T:
    """Run a command's work on the repository that the settings name."""
    from runtime.repository.open import open_store  # noqa: PLC0415
    from runtime.repository.repository import Repository  # noqa: PLC0415

    logs.configure_for_command()

    async def run() -> T:
        store = open_store(
            settings.effective_backup_url, emulator_host=settings.emulator_host, project=settings.project
        )
        try:
            return await work(Repository(store))
        finally:
            await store.close()

    return asyncio.run(run())


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=1, default=str))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table; the columns named in `right` are aligned there. Nothing is cut."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # What is read by a program, or a file, has no width to fit into.
    console = Console() if sys.stdout.isatty() else Console(width=_NO_WIDTH)
    console.print(table)


@contextlib.contextmanager
def bar(progress: "Progress", title: str, *, quiet: bool) -> Iterator[None]:
    """Show a bar on a terminal while the block runs."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=console) as shown:
        task = shown.add_task(title)
        progress.on_change = lambda: shown.update(task, total=progress.files, completed=progress.files_done)
        yield


@contextlib.contextmanager
def waiting(title: str, *, quiet: bool) -> Iterator[None]:
    """Say on a terminal what the block waits for: something whose end nobody can tell."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(title):
        yield
