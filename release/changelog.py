"""The changelog as what releases are cut from.

Owns finding a version's section, and that tag, pyproject.toml and changelog say the same. Writes nothing.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

_SECTION: Final = r"^## \[?{version}\]?(?: [^\n]*)?$\n(.*?)(?=^## |\Z)"


class NotReleasableError(Exception):
    """Tag, version and changelog do not fit together; the message tells what to change."""


def notes(changelog: str, version: str) -> str:
    """Return a version's section without its heading; raise NotReleasableError where it has none."""
    wanted = version.removeprefix("v")
    found = re.search(_SECTION.format(version=re.escape(wanted)), changelog, flags=re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise NotReleasableError(
            f"CHANGELOG.md has no section '## {wanted}'. Rename '## Unreleased', add an empty one above, and tag that."
        )
    return found[1].strip() + "\n"


def check(root: Path, tag: str) -> str:
    """Return the version that a tag releases, if pyproject.toml and the changelog are of that version."""
    version = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    if not re.fullmatch(r"v\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?", tag):
        raise NotReleasableError(f"{tag or 'no tag'} is not a release's tag, such as v{version}")
    if tag != f"v{version}":
        raise NotReleasableError(
            f"the tag is {tag}, pyproject.toml says {version}. Set version there and tag the commit that has it."
        )
    notes((root / "CHANGELOG.md").read_text(), version)
    return version
