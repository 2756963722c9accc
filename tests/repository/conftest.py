"""Every store, empty, and a loop to run its calls in."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from local.bucket import bucket_emulator
from runtime.repository.directory import DirectoryStore
from runtime.repository.gcs import GcsStore
from runtime.repository.open import open_store
from runtime.repository.store import Store
from tests.repository.faults import SECONDS
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.strict_gcs import StrictGcs, strict_gcs

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


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """Give the address of one emulator for all tests; each takes a prefix of its own."""
    with asyncio.Runner() as runner:
        running = bucket_emulator()
        yield runner.run(running.__aenter__())
        runner.run(running.__aexit__(None, None, None))


@pytest.fixture
def strict() -> Iterator[StrictGcs]:
    """Give the strict server, empty."""
    with strict_gcs() as server:
        yield server


@pytest.fixture
def gcs(run: Run, strict: StrictGcs) -> Iterator[GcsStore]:
    """Give a store on the strict server, with a short deadline."""
    store = GcsStore("backups", "p", emulator_host=strict.url, deadline_seconds=SECONDS)
    yield store
    run(store.close())


@pytest.fixture(params=["model", "directory", "emulator", "strict"])
def open_again(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Give a function that opens the same store once more, as another process would."""
    opened: list[Store] = []
    bucket = ModelBucket()
    prefix = uuid.uuid4().hex

    def directory() -> Store:
        (tmp_path / "backup").mkdir(exist_ok=True)
        return DirectoryStore(tmp_path / "backup")

    def gcs(url: str, prefix: str) -> Store:
        return open_store(f"gs://backups/{prefix}", emulator_host=url, project=None)

    makers: dict[str, Callable[[], Store]] = {
        "model": lambda: ModelStore(bucket, list_page=3),
        "directory": directory,
        "emulator": lambda: gcs(request.getfixturevalue("emulator"), prefix),
        "strict": lambda: gcs(request.getfixturevalue("strict").url, "some/prefix"),
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
