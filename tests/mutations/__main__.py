"""`python -m tests.mutations [WORD …]`: plant each bug in a copy of the repository and see that its proof fails.

With words only the mutations whose name holds one of them. Exit code 1 when one was not caught.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations import backups, journal, protocol, restores, seals
from tests.mutations.mutation import Mutation

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS: tuple[Mutation, ...] = (
    *protocol.MUTATIONS,
    *journal.MUTATIONS,
    *seals.MUTATIONS,
    *backups.MUTATIONS,
    *restores.MUTATIONS,
)
_LONGEST_SECONDS = 600
_COPIED = ("runtime", "tests", "local", "components", "pyproject.toml")


def copy_to(folder: Path) -> None:
    """Copy what the proofs need."""
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def proof_fails(folder: Path, proof: tuple[str, ...]) -> bool:
    """Run a proof in the copy; True when it found something. A program that does not start is an error."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", "import runtime.supervisor"], cwd=folder, env=environment, check=True)
    ended = subprocess.run(
        [sys.executable, *proof],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        timeout=_LONGEST_SECONDS,
    )
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(proof)} ended with {ended.returncode}: {ended.stdout[-500:]!r}")
    return ended.returncode == 1


def main(words: list[str]) -> int:
    """Plant them all; return the exit code."""
    chosen = [one for one in MUTATIONS if not words or any(word in one.name for word in words)]
    caught = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_to(folder)
        for proof in dict.fromkeys(one.proof for one in chosen):
            if proof_fails(folder, proof):
                print(f"Without any bug this fails already: python {' '.join(proof)}")
                return 1
        for one in chosen:
            began = time.monotonic()
            file = folder / one.file
            original = file.read_text()
            file.write_text(one.mutated(folder))
            try:
                found = proof_fails(folder, one.proof)
            finally:
                file.write_text(original)
            caught += found
            said = "caught" if found else "NOT CAUGHT"
            print(f"{said:10} {time.monotonic() - began:4.0f} s  {one.name}  ({one.history})", flush=True)
    print(f"{caught}/{len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
