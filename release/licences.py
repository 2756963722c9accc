"""The licences of every locked package, each of them allowed, with the reason.

Owns the list. Reads what the installed packages declare; a package that declares nothing, or something new, has to be
looked at by a person, who then writes it down here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

# Permissive: use, change and pass on, naming the authors.
_PERMISSIVE: Final = (
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0"),
    *("ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
)
# Weak copyleft by file: used as it comes, none of its files is changed here.
_UNCHANGED: Final = ("MPL-2.0",)
ALLOWED: Final = frozenset((*_PERMISSIVE, *_UNCHANGED))

# One package, what it is under, and why that is right although its metadata does not say it, or says something else.
EXCEPTIONS: Final = {
    "cel-python": ("Apache-2.0", "declares none; the LICENSE file that comes with it says so. Tests only"),
    "codespell": ("GPL-2.0-only", "a tool that is run over the sources; nothing that is shipped holds any of it"),
    "pulumi-policy": ("Apache-2.0", "lives in policy/.venv, where this check does not look"),
}
# Locks whose packages are only run here; what is in the other ones is shipped or deployed with.
_TOOLS_ONLY: Final = ("requirements/dev.txt", "policy/requirements.txt")

_SPDX: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Finding:
    """A package whose licence is not allowed, and why not."""

    package: str
    reason: str


def locked(root: Path) -> dict[str, list[str]]:
    """Return every locked package with the locks that hold it."""
    found: dict[str, list[str]] = {}
    for lock in sorted([*root.glob("requirements/*.txt"), *root.glob("policy/requirements.txt")]):
        for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock.read_text(), flags=re.MULTILINE):
            found.setdefault(name.lower(), []).append(lock.relative_to(root).as_posix())
    return found


def declared(package: str) -> str | None:
    """Return the licence that an installed package declares, in SPDX's words; empty: none, None: not installed."""
    try:
        told = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return None
    if "License-Expression" in told:
        return told["License-Expression"]
    classified = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if line.startswith("License ::")
    ]
    known = [_SPDX[name] for name in classified if name in _SPDX]
    # Several classifiers mean a choice or both; held to both, none can be missed.
    plain = told["License"].strip() if "License" in told else ""
    return " AND ".join(known) or _SPDX.get(plain, plain if allowed(plain) else "")


def findings(packages: dict[str, list[str]]) -> Iterator[Finding]:
    """Tell every package that is not allowed, and every exception that is not needed any more."""
    for name, locks in sorted(packages.items()):
        licence = declared(name)
        exception, _ = EXCEPTIONS.get(name, ("", ""))
        if exception and not allowed(exception) and not set(locks) <= set(_TOOLS_ONLY):
            yield Finding(name, f"{exception} is allowed for tools alone, and {', '.join(locks)} has it")
        elif exception:
            continue
        elif licence is None:
            # Markers keep it from other systems' packages; the lock is the same for all.
            continue
        elif not allowed(licence):
            said = licence or "declares no licence that is known here"
            yield Finding(name, f"{said}. Look at it, then add it to release/licences.py with the reason, or drop it")
    for name in sorted(set(EXCEPTIONS) - set(packages)):
        yield Finding(name, "an exception for a package that is not locked any more: remove it")


def allowed(expression: str) -> bool:
    """Whether one of the alternatives of an SPDX expression is made of allowed licences only.

    An expression with parentheses is for a person to read: none is locked, and guessing would be on the wrong side.
    """
    return any(set(re.split(r"\s+AND\s+", part)) <= ALLOWED for part in re.split(r"\s+OR\s+", expression.strip()))
