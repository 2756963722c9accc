"""What a pull has brought."""

from pathlib import Path
from typing import Any

from tests.support.engines import running
from tests.sync.conftest import (
    ENGINE,
    Command,
    aliases,
    everything,
)

Points = dict[str, dict[int | str, Any]]


def restored(command: Command, tmp_path: Path) -> tuple[Points, dict[str, str]]:
    """Return what the newest backup holds, as an engine serves it."""
    number = len(list(tmp_path.glob("restored-*")))
    folder = tmp_path / f"restored-{number}"
    assert command("restore", str(folder / "storage")).code == 0
    with running(ENGINE, folder) as engine:
        return everything(engine), aliases(engine)
