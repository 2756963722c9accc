"""`python -m bench [NAME…] [--json]`: runs the subjects and prints what they found.

Owns the order, the folder and the engine's choice. Timed tests are none of its business: it always ends with 0 when
everything could be measured, whatever the figures.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench import report
from bench.stage import Stage
from local.instance import EMBEDDED_ENGINE

_SUBJECTS = ("start", "restore", "increments", "full", "handover", "ending", "edge", "memory")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="NAME", help=f"one of {', '.join(_SUBJECTS)}; all if none")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    arguments = parser.parse_args()
    if unknown := set(arguments.subjects) - set(_SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    engine, described = _engine()
    if not arguments.json:
        print(f"Engine: {described}. {os.cpu_count()} cores. Medians (smallest to largest).")
    found: list[report.Subject] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stage = Stage(Path(folder), engine)
        for name in arguments.subjects or _SUBJECTS:
            started = time.monotonic()
            try:
                subject = importlib.import_module(f"bench.{name}").measure(stage)
            except Exception:  # noqa: BLE001 - see below
                # Whatever one subject met must not take the figures of the others with it.
                traceback.print_exc()
                failed.append(name)
                continue
            found.append(subject)
            if not arguments.json:
                print(report.as_table(subject, time.monotonic() - started), flush=True)
    if arguments.json:
        print(report.as_json(described, found))
    elif missed := [figure for subject in found for figure in subject.figures if figure.met is False]:
        print(f"\n{len(missed)} goal(s) missed.")
    else:
        print("\nEvery goal is met.")
    if failed:
        print(f"Could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _engine() -> tuple[Path, str]:
    named = os.environ.get("QDRANT_BIN")
    if named:
        return Path(named), f"Qdrant ({Path(named).name})"
    return EMBEDDED_ENGINE, "the embedded stand-in, not Qdrant (QDRANT_BIN=… for Qdrant itself)"


if __name__ == "__main__":
    sys.exit(main())
