"""The reference tables in docs/, made from the code they describe: `python -m local.reference` renews them.

Owns where a table goes and how a row reads. A test compares the files with what this would write.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from local import cost
from runtime.settings import Settings

_DOCS = Path(__file__).resolve().parents[1] / "docs"


def environment_table() -> str:
    """Return the table of the container's variables."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for item in fields(Settings):
        if "variable" not in item.metadata:
            continue
        default = item.metadata["default"]
        shown = f"`{default}`" if default else "(not set)"
        secret = " Secret." if item.metadata["secret"] else ""
        rows.append(f"| `{item.metadata['variable']}` | {shown} | {item.metadata['meaning']}{secret} |")
    return "\n".join(rows) + "\n"


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "configuration.md": {"environment": environment_table},
    "cost.md": cost.TABLES,
}


def renewed(page: str, text: str) -> str:
    """Return the page's text with its tables as the code has them. Raises ValueError where one has no place."""
    for name, table in PAGES[page].items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(opening)
        _, ended, after = rest.partition(closing)
        if not (found and ended):
            raise ValueError(f"{page} has no place for the table {name!r}: {opening} and {closing}")
        text = f"{before}{opening}\n\n{table().strip()}\n\n{closing}{after}"
    return text


if __name__ == "__main__":
    for name in PAGES:
        (_DOCS / name).write_text(renewed(name, (_DOCS / name).read_text()))
