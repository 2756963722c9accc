"""A bucket with three backups in it, and a way to run commands on it."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.cli import main
from tests.support.lineages import environment, three_backups


@dataclass(frozen=True)
class Made:
    """A directory store that holds three backups, and their ids, oldest first."""

    bucket: Path
    ids: list[str]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document it printed."""
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make three backups once."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "bucket").mkdir()
    ids = asyncio.run(three_backups(environment(f"file://{folder}/bucket", folder / "storage")))
    return Made(folder / "bucket", ids)


@pytest.fixture
def made(template: Made, tmp_path: Path) -> Made:
    """Give a copy to do anything to."""
    # With modification times: they are the objects' generations.
    shutil.copytree(template.bucket, tmp_path / "bucket")
    return Made(tmp_path / "bucket", template.ids)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Give a function that runs a command on the bucket in the test's folder, or on another."""

    def run(*arguments: str, url: str | None = None, **more: str) -> Ran:
        variables = environment(url or f"file://{tmp_path}/bucket", tmp_path / "storage", **more)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run
