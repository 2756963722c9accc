"""Clients that write at once by REST and gRPC, and know afterwards what must be there.

Owns the load and the judgement. A write without an answer, or a refused one, may be there or not; what was
acknowledged must be, and what came after it in the same place stays after it.
"""

import itertools
import random
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grpc
import httpx
from qdrant_client import models

from tests.support.instances import Instance, eventually
from tests.support.workload import grpc_client, of

_WRITERS = 4
_OWN = 8  # points that each writer has for itself
# The point that all of them write to: its last value must be one that could have been the last.
SHARED = 1_000_000
_GONE = None


class Oracle:
    """Writes until the end of the block. `judge` fails when what is held is none of the states that may be."""

    def __init__(self, target: Instance, collection: str, *, seed: int) -> None:
        self.acknowledged = 0
        self.refusals = 0
        self._target = target
        self._collection = collection
        self._seed = seed
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        # By point: the newest acknowledged value, and those that may have come after it.
        self._held: dict[int, int | None] = {}
        self._maybe: dict[int, set[int | None]] = {}
        # Of the shared point: (began, ended, value); ended None: never answered.
        self._shared: list[tuple[float, float | None, int]] = []
        self._failures: list[str] = []

    def resume(self, target: Instance) -> None:
        """Go on with another instance."""
        self._target = target
        self._ended = threading.Event()

    def wait_for(self, more: int, within: float) -> None:
        """Wait until so many more writes were acknowledged."""
        goal = self.acknowledged + more
        eventually(lambda: self.acknowledged >= goal or bool(self._failures), within, f"{more} writes more")
        assert not self._failures, self._failures

    def judge(self, points: Mapping[int, Mapping[str, Any]]) -> None:
        """Compare with what is held, which is then what counts. Fails when a write is lost, undone or out of order."""
        assert not self._failures, self._failures
        values = {identifier: point["payload"]["v"] for identifier, point in points.items()}
        for identifier, value in self._held.items():
            allowed = {value, *self._maybe.get(identifier, ())}
            found = values.get(identifier, _GONE)
            assert found in allowed, f"point {identifier} is {found}, must be one of {allowed}"
            self._held[identifier] = found
        strangers = values.keys() - self._held.keys() - self._maybe.keys() - {SHARED}
        assert not strangers, f"never written: {strangers}"
        self._judge_shared(values.get(SHARED))
        self._maybe.clear()

    def _judge_shared(self, found: int | None) -> None:
        """Hold that the last value's write did not end before another acknowledged one began."""
        done = [write for write in self._shared if write[1] is not None]
        assert found is not None or not done, "the shared point is gone"
        if found is None:
            return
        mine = next(write for write in self._shared if write[2] == found)
        over = [write for write in done if mine[1] is not None and write[0] > mine[1]]
        assert not over, f"the shared point is {found}, but {[write[2] for write in over]} came after it"
        self._shared = [mine if mine[1] is not None else (mine[0], time.monotonic(), found)]

    def _run(self, number: int) -> None:
        chance = random.Random(f"{self._seed}-{number}-{time.monotonic()}")
        ended, target = self._ended, self._target
        with httpx.Client(timeout=60) as http, grpc_client(target) as client:
            while not ended.is_set():
                shared = chance.random() < 0.25
                identifier = SHARED if shared else number * 1000 + chance.randrange(_OWN)
                with self._lock:
                    value = next(self._numbers)
                deletes = not shared and chance.random() < 0.25
                by_rpc = chance.random() < 0.5
                began = time.monotonic()
                if by_rpc:
                    status = self._by_rpc(client, identifier, value, deletes=deletes)
                else:
                    status = self._by_rest(http, target, identifier, value, deletes=deletes)
                with self._lock:
                    self._note(identifier, _GONE if deletes else value, began, status)
                if status != "done":
                    ended.wait(0.05)

    def _note(self, identifier: int, value: int | None, began: float, status: str) -> None:
        if status == "wrong":
            self._failures.append(f"a write of {identifier} had an unexpected answer")
        if status == "refused":
            self.refusals += 1
        done = status == "done"
        self.acknowledged += done
        if identifier == SHARED:
            self._shared.append((began, time.monotonic() if done else None, value or 0))
        elif done:
            self._held[identifier] = value
            self._maybe.pop(identifier, None)
        else:
            self._held.setdefault(identifier, _GONE)
            self._maybe.setdefault(identifier, set()).add(value)

    def _by_rest(self, http: httpx.Client, target: Instance, identifier: int, value: int, *, deletes: bool) -> str:
        try:
            if deletes:
                path = of(self._collection, "points/delete?wait=true")
                answer = http.post(target.url + path, json={"points": [identifier]})
            else:
                path = of(self._collection, "points?wait=true")
                point = {"id": identifier, "vector": [value, 1], "payload": {"v": value}}
                answer = http.put(target.url + path, json={"points": [point]})
        except httpx.TransportError:
            return "cut"
        if answer.status_code == 200:
            return "done"
        return "refused" if answer.status_code in {502, 503, 504} else "wrong"

    def _by_rpc(self, client: Any, identifier: int, value: int, *, deletes: bool) -> str:
        try:
            if deletes:
                client.delete(self._collection, models.PointIdsList(points=[identifier]), wait=True)
            else:
                point = models.PointStruct(id=identifier, vector=[float(value), 1.0], payload={"v": value})
                client.upsert(self._collection, [point], wait=True)
        except grpc.RpcError as error:
            return "refused" if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED} else "cut"
        return "done"

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(_WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self._threads), "a client has not ended"
