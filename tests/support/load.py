"""A client that writes without a pause, and remembers what was acknowledged and when.

Owns the stream of numbered writes and its record. Where they go is told to it while it runs, as a load balancer is.
"""

import itertools
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from tests.support.instances import Instance, eventually
from tests.support.workload import of

# The point that every write changes too: with it in step, nothing is torn.
REGISTER = 0


@dataclass(frozen=True)
class Acknowledged:
    """One write that the server said it has."""

    number: int
    at: float
    to: str


class Load:
    """Writes point after point to the current target until the end of the block; a refused one is sent again."""

    def __init__(self, target: Instance, collection: str, *, first: int = 1, pause: float = 0.002) -> None:
        self.target = target
        self.acknowledged: list[Acknowledged] = []
        self.refused: list[tuple[int, str]] = []
        self._collection = collection
        self._number = first
        self._pause = pause
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def last(self) -> int:
        """The newest acknowledged number."""
        return self.acknowledged[-1].number if self.acknowledged else 0

    def acknowledged_before(self, moment: float) -> int:
        """Return the newest number acknowledged before a moment (`time.time`)."""
        return max((each.number for each in self.acknowledged if each.at < moment), default=0)

    def longest_gap(self, since: float) -> float:
        """Return the longest time between two acknowledgements since a moment."""
        times = [each.at for each in self.acknowledged if each.at >= since]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def has_any(self) -> bool:
        """Whether a write was acknowledged."""
        return bool(self.acknowledged)

    def wait_beyond(self, number: int, within: float) -> None:
        """Wait until a later write than that was acknowledged."""
        eventually(lambda: self.last > number, within, f"a write after {number} is acknowledged")

    def wait_until_taken_by(self, instance: Instance, within: float) -> None:
        """Wait until an instance acknowledges writes, and goes on to."""
        eventually(lambda: self.acknowledged[-1].to == instance.name, within, f"{instance.name} acknowledges writes")
        self.wait_beyond(self.last + 10, within)

    def _run(self) -> None:
        """Write until the end."""
        with httpx.Client(timeout=15) as http:
            while not self._ended.is_set():
                self._write(http)
                self._ended.wait(self._pause)

    def _write(self, http: httpx.Client) -> None:
        """Send one write, and note what came of it."""
        target, number = self.target, self._number
        points = [{"id": n, "vector": [number, 1], "payload": {"n": number}} for n in (REGISTER, number)]
        try:
            path = of(self._collection, "points?wait=true")
            answer = http.put(f"{target.url}{path}", json={"points": points})
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            self.acknowledged.append(Acknowledged(number, time.time(), target.name))
            self._number += 1
        else:
            self.refused.append((answer.status_code, answer.text))
            # Sooner than Retry-After says: the pause that is measured is the server's, not the client's.
            self._ended.wait(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the client has not ended"
