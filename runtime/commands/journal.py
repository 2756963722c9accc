"""The commands `journal …`: what was written, by whom, when.

Owns arguments and output. Bodies are shown only when asked for: they hold what clients keep secret.
"""

from typing import TYPE_CHECKING, Any

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
    from runtime.repository.repository import Repository

_MOST_SHOWN = 1000


@click.group(epilog=EXIT_CODES)
def journal() -> None:
    """Look at the write journal."""


@journal.command(epilog=EXIT_CODES)
@click.option("--from", "first", metavar="TIME", help="Only writes at or after TIME: ISO 8601 with a zone.")
@click.option("--to", "last", metavar="TIME", help="Only writes at or before TIME.")
@click.option("--collection", help="Only writes to this collection, by its own name, and those to all.")
@click.option("--limit", default=_MOST_SHOWN, show_default=True, help="How many of the newest to show; 0 shows all.")
@click.option("--bodies", is_flag=True, help="With the data that was sent.")
@as_json
def show(
    first: str | None, last: str | None, collection: str | None, limit: int, *, bodies: bool, as_json: bool
) -> None:
    """List the writes, oldest first: their names, when, by which instance, what and how large.

    WRITE in `rollback --before WRITE` is a name of this list, RECORD in --skip, too. Seals and changes that only a
    backup holds are shown between them. Payloads are not shown without --bodies.
    """
    from runtime.moment import Moment  # noqa: PLC0415

    since, until = Moment.parse(first, None).at, Moment.parse(last, None).at
    shown = with_repository(
        settings_from_environment(),
        lambda repository: _shown(repository, since, until, collection, limit, bodies=bodies),
    )
    if as_json:
        print_json({"writes": shown})
        return
    headings = ("name", "time", "writer", "collection", "what", "operations", "count", "bytes")
    print_table(headings, (_row(entry) for entry in shown), right=("count", "bytes"))
    if limit and len(shown) == limit:
        click.echo(f"The newest {limit}: --limit 0 shows all")


async def _shown(
    repository: "Repository", since: int | None, until: int | None, collection: str | None, limit: int, *, bodies: bool
) -> list[dict[str, Any]]:
    from collections import deque  # noqa: PLC0415

    from runtime.journal.listing import listed  # noqa: PLC0415
    from runtime.repository.catalogue import require_head  # noqa: PLC0415

    head = (await require_head(repository)).head
    kept: deque[dict[str, Any]] = deque(maxlen=limit or None)
    async for entry in listed(repository, head.lineage, bodies=bodies):
        at = entry["at"]
        in_time = at is None or ((since is None or at >= since) and (until is None or at <= until))
        if in_time and (collection is None or entry["collection"] in {None, collection}):
            kept.append(entry)
    return list(kept)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    what = entry["what"] + ("" if entry.get("confirmed", True) else " (not confirmed)")
    body = f"\n{entry['body']}" if "body" in entry else ""
    return (
        entry["name"],
        entry["time"] or "",
        entry["writer"],
        entry["collection"] or "",
        what + body,
        " ".join(map(str, entry["operations"])),
        "" if entry["count"] is None else f"{entry['count']:,}",
        f"{entry['bytes']:,}" if entry["time"] else "",
    )
