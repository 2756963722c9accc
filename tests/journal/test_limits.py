"""Qdrant's limits of a collection while the journal is done again."""

import asyncio
from email.message import Message
from typing import Any

import pytest

from runtime.errors import EngineError
from runtime.journal.order import Entry
from runtime.journal.requests import calls
from runtime.journal.sender import Sender
from runtime.repository.journal_object import JournalPosition, Record
from runtime.settings import Settings
from tests.support.fake_server import serving

UPSERT = ("PUT", "/collections/c/points", "shared", "points")
PATCH = ("PATCH", "/collections/c", "collection", "schema")
OFF, ON = "off", "on"


class Strict:
    """An engine with one collection whose strict mode is on or not; notes what it is sent."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.done: list[str] = []
        self.switches = True

    def answer(self, method: str, path: str, _headers: Message, body: Any) -> tuple[int, Any]:
        """Do it."""
        if method == "GET":
            return 200, {"result": {"config": {"strict_mode_config": {"enabled": self.enabled}}}}
        if method == "PATCH" and "strict_mode_config" in body:
            if not self.switches:
                return 500, {"status": {"error": "planned"}}
            self.enabled = body["strict_mode_config"]["enabled"]
            self.done.append(ON if self.enabled else OFF)
        else:
            self.done.append(f"{method} {path.partition('?')[0].rpartition('/')[2]}")
        return 200, {"result": True}


def entry(number: int, what: tuple[str, str, str, str], *, applied: bool = True, ids: tuple[int, ...] = (1,)) -> Entry:
    """Return a record of the collection."""
    method, path, turn, effect = what
    record = Record("c", effect, turn, "rest", method, path, ids, applied, 0, b"{}")  # type: ignore[arg-type]
    return Entry(JournalPosition(1, 0), number, record)


def sent(engine: Strict, *entries: Entry) -> list[str]:
    """Do these again; return what came to the engine."""

    async def send(url: str) -> None:
        """Send all of them."""
        settings = Settings.from_env(
            {"BACKUP_URL": "file:///backups", "QDRANT_HTTP_PORT": url.rpartition(":")[2], "QDRANT_GRPC_PORT": "1"}
        )
        async with Sender(settings) as sender:
            for call in calls([(one, b"{}") for one in entries]):
                await sender.send(call)

    with serving(engine) as url:
        asyncio.run(send(url))
    return engine.done


def test_they_are_lifted_for_what_they_had_let_through() -> None:
    """For several writes at once, and for one that was only accepted; in the end they are as they were."""
    engine = Strict(enabled=True)
    accepted = entry(2, UPSERT, applied=False, ids=(3,))

    assert sent(engine, entry(0, UPSERT), entry(1, UPSERT), accepted) == [OFF, "POST batch", "PUT points", ON]


def test_what_was_refused_and_what_may_change_them_meets_them() -> None:
    """A refused write is to be refused again; after a change of the schema they may be others."""
    engine = Strict(enabled=True)
    refused = entry(1, UPSERT, applied=False, ids=())

    assert sent(engine, entry(0, UPSERT), refused, entry(2, UPSERT), entry(3, PATCH)) == [
        *(OFF, "PUT points", ON),
        "PUT points",
        *(OFF, "PUT points", ON),
        "PATCH c",
    ]


def test_a_collection_without_any_is_left_alone() -> None:
    """It is asked for them, and nothing is switched."""
    assert sent(Strict(enabled=False), entry(0, UPSERT), entry(1, PATCH)) == ["PUT points", "PATCH c"]


def test_writes_are_not_done_under_limits_that_cannot_be_lifted() -> None:
    """The replay stops there, and says so."""
    engine = Strict(enabled=True)
    engine.switches = False

    with pytest.raises(EngineError, match="strict mode of 'c'"):
        sent(engine, entry(0, UPSERT))
    assert engine.done == []
