"""A sync in a process of its own, and what it has brought."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.engines import running
from tests.support.lineages import environment
from tests.sync.conftest import (
    ENGINE,
    Command,
    aliases,
    everything,
)

Points = dict[str, dict[int | str, Any]]


def begun(direction: str, tmp_path: Path, **address: str) -> subprocess.Popen[bytes]:
    """Start `sync pull` or `sync push`, to be ended by the test."""
    settings = environment(f"file://{tmp_path}/bucket", tmp_path / "disk" / "storage", **address)
    return subprocess.Popen(
        [sys.executable, "-m", "runtime", "sync", direction],
        env={**settings, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def restored(command: Command, tmp_path: Path) -> tuple[Points, dict[str, str]]:
    """Return what the newest backup holds, as an engine serves it."""
    number = len(list(tmp_path.glob("restored-*")))
    folder = tmp_path / f"restored-{number}"
    assert command("restore", str(folder / "storage")).code == 0
    with running(ENGINE, folder) as engine:
        return everything(engine), aliases(engine)
