"""`python -m bench [NAME…]`: runs the subjects and prints what they found.

Owns the order, the folder, the engine's choice and what becomes of the figures: tables, JSON, a page, or a comparison
with what is expected. Without `--check` it ends with 0 when everything could be measured, whatever the figures.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench import copies, expectations, report
from bench.goals import goals
from bench.sizes import FULL, QUICK, TINY
from bench.stage import Stage
from local.docker_engine import docker_engine
from local.instance import EMBEDDED_ENGINE
from runtime.errors import ConfigError

_SUBJECTS = (
    "start",
    "restore",
    "full",
    "increments",
    "growth",
    "link",
    "stall",
    "handover",
    "ending",
    "edge",
    "journal",
    "sync",
)
# What the guard measures: the figures that mistakes move, in some minutes.
_GUARDED = ("restore", "full", "increments", "edge")
_SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="NAME", help=f"one of {', '.join(_SUBJECTS)}; all if none")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--sizes", choices=_SIZES, default="full", help="how much data, how many repetitions")
    parser.add_argument("--page", type=Path, help="write a page and its pictures there")
    parser.add_argument("--check", action="store_true", help="measure little and compare ratios with expectations")
    arguments = parser.parse_args()
    if unknown := set(arguments.subjects) - set(_SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    names = arguments.subjects or (_GUARDED if arguments.check else _SUBJECTS)
    sizes = QUICK if arguments.check else _SIZES[arguments.sizes]
    engine, described = _engine()
    started = time.monotonic()
    if not arguments.json:
        print(f"Engine: {described}. {_machine()}. Medians (smallest to largest).", flush=True)
        if missing := {"restic", "rclone"} - copies.copies().keys():
            print(f"Not compared with {' and '.join(sorted(missing))}: not on PATH (both are Debian packages).")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found, failed = _measure(Stage(Path(folder), engine, sizes), names, print_tables=not arguments.json)
    if arguments.json:
        print(report.as_json(described, found))
    failed += _unmeasured(found)
    if failed:
        print(f"Could not be measured: {', '.join(failed)}", file=sys.stderr)
        return 1
    if arguments.page:
        from bench import page  # noqa: PLC0415 - matplotlib is slow to import, and only the page needs it

        page.write(arguments.page, _machine(), described, found, (time.monotonic() - started) / 60)
        print(f"\nWritten: {arguments.page}", file=sys.stderr)
    return _compare(found, names) if arguments.check else 0


def _measure(stage: Stage, names: tuple[str, ...], *, print_tables: bool) -> tuple[list[report.Subject], list[str]]:
    found: list[report.Subject] = []
    failed: list[str] = []
    for number, name in enumerate(names, 1):
        print(f"{name} ({number} of {len(names)})…", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            subject = importlib.import_module(f"bench.{name}").measure(stage)
        except Exception:  # noqa: BLE001 - see below
            # Whatever one subject met must not take the figures of the others with it.
            traceback.print_exc()
            failed.append(name)
            continue
        found.append(subject)
        if print_tables:
            print(report.as_table(subject, time.monotonic() - started), flush=True)
    return found, failed


def _unmeasured(found: list[report.Subject]) -> list[str]:
    """Return the goals of these subjects that no figure was judged by: a key that changed would be missed by nobody."""
    keys = {figure.key for subject in found for figure in subject.figures}
    names = {subject.name for subject in found}
    return [key for key in goals() if key.split(".")[0] in names and key not in keys]


def _compare(found: list[report.Subject], names: tuple[str, ...]) -> int:
    expected = {key: bounds for key, bounds in expectations.expectations().items() if key.split(".")[0] in names}
    wrong = expectations.problems([figure for subject in found for figure in subject.figures], expected)
    for line in wrong:
        print(f"NOT AS EXPECTED  {line}", file=sys.stderr)
    print(f"{len(expected) - len(wrong)} of {len(expected)} ratios are within their bounds.", file=sys.stderr)
    return 1 if wrong else 0


def _engine() -> tuple[Path, str]:
    """Return the engine's program: the one named, else Docker's, else the stand-in; and what it is."""
    named = os.environ.get("QDRANT_BIN")
    if named:
        done = subprocess.run([named, "--version"], capture_output=True, text=True, check=True)
        return Path(named), f"{done.stdout.strip()} (Qdrant itself)"
    try:
        return docker_engine(), "Qdrant's official image in Docker"
    except ConfigError:
        return EMBEDDED_ENGINE, "the embedded stand-in, not Qdrant (QDRANT_BIN=… or Docker for Qdrant itself)"


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
