"""Every store, empty, and a loop to run its calls in."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from runtime.repository.directory import DirectoryStore
from runtime.repository.store import Store
from tests.support.model_store import ModelBucket, ModelStore

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine to its end."""

    def __call__(self, call: Awaitable[T]) -> T:
        """Return what it returned."""


@pytest.fixture
def run() -> Iterator[Run]:
    """Give one loop for all calls of a test."""
    with asyncio.Runner() as runner:

        def run_in_loop(call: Awaitable[T]) -> T:
            async def wait() -> T:
                """Await it in the loop."""
                return await call

            return runner.run(wait())

        yield run_in_loop


@pytest.fixture(params=["model", "directory"])
def open_again(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Give a function that opens the same store once more, as another process would."""
    opened: list[Store] = []
    bucket = ModelBucket()

    def directory() -> Store:
        (tmp_path / "backup").mkdir(exist_ok=True)
        return DirectoryStore(tmp_path / "backup")

    makers: dict[str, Callable[[], Store]] = {
        "model": lambda: ModelStore(bucket, list_page=3),
        "directory": directory,
    }
    make = makers[request.param]

    def open_one() -> Store:
        opened.append(make())
        return opened[-1]

    yield open_one
    for store in opened:
        run(store.close())


@pytest.fixture
def store(open_again: Callable[[], Store]) -> Store:
    """Give an empty store."""
    return open_again()
