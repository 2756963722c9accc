from pathlib import Path

import pytest

from runtime.api.limits import Limits, TooMany
from tests.api.agent import agent
from tests.edge.stage import in_loop


def test_only_so_many_are_served_at_once() -> None:
    """The ninth request beside eight others is sent away; once one has ended there is a place again."""
    limits = Limits(clock=lambda: 0.0)
    places = [limits.place() for _ in range(8)]
    for place in places:
        place.__enter__()
    with pytest.raises(TooMany), limits.place():
        pass
    places[0].__exit__(None, None, None)
    with limits.place():
        pass


def test_a_stream_of_requests_is_slowed_down() -> None:
    """Forty at a stroke, then ten a second."""
    now = 0.0
    limits = Limits(clock=lambda: now)

    def served() -> int:
        count = 0
        while True:
            try:
                with limits.place():
                    count += 1
            except TooMany:
                return count

    assert served() == 40
    now = 1.0
    assert served() == 10
    now = 1000.0
    assert served() == 40


@in_loop
async def test_too_many_requests_are_told_to_come_back(tmp_path: Path) -> None:
    """The control routes answer 429 with Retry-After once the limit is reached; the probes go on."""
    async with agent(tmp_path) as asked:
        statuses = [await asked.status("GET", "/api/backups") for _ in range(100)]
        assert statuses[:40] == [200] * 40
        async with asked.client.get("/api/backups") as answer:
            refused = answer.status, answer.headers.get("Retry-After")
        assert 429 in statuses
        assert refused in ((429, "1"), (200, None))
        assert await asked.status("GET", "/live") == 200


@in_loop
async def test_who_has_no_right_takes_no_place(tmp_path: Path) -> None:
    """However many strangers knock, the key's holder is served."""
    async with agent(tmp_path, QDRANT_API_KEY="key") as asked:
        assert {await asked.status("GET", "/api/backups") for _ in range(100)} == {401}
        assert await asked.status("GET", "/api/backups", api_key="key") == 200
