import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.engine.streaming import full, optimizing, upsert, wait_replaced
from tests.support.engines import EMBEDDED, Engine, running


@pytest.fixture(scope="session", params=["embedded", "qdrant"])
def engine_argv(request: pytest.FixtureRequest) -> Sequence[str]:
    """Answer how to start each engine that this machine has."""
    if request.param == "embedded":
        return EMBEDDED
    if not os.environ.get("QDRANT_BIN"):
        pytest.skip("QDRANT_BIN names no real Qdrant")
    return (os.environ["QDRANT_BIN"],)


@pytest.fixture(scope="session")
def is_embedded(engine_argv: Sequence[str]) -> bool:
    """Answer whether the engine under test is the embedded one."""
    return engine_argv == EMBEDDED


@pytest.fixture(scope="session")
def engine(engine_argv: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run one engine for all tests that leave it as it was, each in collections of its own."""
    with running(engine_argv, tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest.fixture
def collection(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a collection that does not exist yet and is gone afterwards."""
    name = f"test-{abs(hash(request.node.nodeid)):x}"
    yield name
    engine.call("DELETE", f"/collections/{name}")


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Answer the folder of what was recorded from a real server."""
    return Path(__file__).parents[1] / "fixtures" / "qdrant-1.18.3"


@pytest.fixture
def filled(engine: Engine, collection: str) -> str:
    """Answer a collection of 300 points with one payload index, not optimized meanwhile."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 0}}
    engine.result("PUT", f"/collections/{collection}", body)
    index = {"field_name": "k", "field_schema": "keyword"}
    engine.result("PUT", f"/collections/{collection}/index?wait=true", index)
    upsert(engine, collection, range(300))
    return collection


@pytest.fixture
def optimized(engine: Engine, collection: str) -> str:
    """Answer a collection of 2000 points, most of them in a segment that is immutable by now."""
    optimizing(engine, collection)
    upsert(engine, collection, range(20))
    state = full(engine, collection)
    upsert(engine, collection, range(20, 2000))
    wait_replaced(engine, collection, state)
    return collection
