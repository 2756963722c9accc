"""Folders for the tests of this folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.strict_gcs import StrictGcs, strict_gcs

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """Give a folder in memory where there is one: thousands of flushed files cost a disk a minute."""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="tree-tests-") as folder:
        yield Path(folder)


@pytest.fixture
def strict() -> Iterator[StrictGcs]:
    """Give the strict server."""
    with strict_gcs() as server:
        yield server
