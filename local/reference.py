"""The reference tables in docs/, made from the code they describe: `python -m local.reference` renews them.

Owns where a table goes and how a row reads. A test compares the files with what this would write.
"""

import re
from dataclasses import fields
from pathlib import Path

from runtime.settings import Settings

_CONFIGURATION = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
_SECTION = re.compile(r"(?s)(<!-- environment -->\n).*?(<!-- /environment -->)")


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


def renewed(text: str) -> str:
    """Return the page with its table as the code has it."""
    return _SECTION.sub(lambda found: f"{found[1]}{environment_table()}{found[2]}", text)


if __name__ == "__main__":
    _CONFIGURATION.write_text(renewed(_CONFIGURATION.read_text()))
