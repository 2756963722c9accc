"""Somebody who writes one point after the other until the connection breaks, and knows what was acknowledged.

Owns that stream of writes and the check of it. Kills nothing.
"""

import threading
from types import TracebackType
from typing import Self

from qdrant_client import QdrantClient, models

COLLECTION = "ticks"
_SECONDS = 30


class Stream:
    """Writes point 1, 2, 3 … as soon as the one before is acknowledged; ends with the first that is not."""

    def __init__(self, client: QdrantClient) -> None:
        self.acknowledged = 0
        self._client = client
        self._beyond = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
        self._client.create_collection(COLLECTION, vectors_config=vectors)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join(_SECONDS)

    def wait_for(self, count: int) -> None:
        """Wait until so many writes were acknowledged."""
        with self._beyond:
            self._beyond.wait_for(lambda: self.acknowledged >= count, timeout=_SECONDS)

    def _run(self) -> None:
        number = 0
        while True:
            number += 1
            point = models.PointStruct(id=number, vector=[float(number), 1.0], payload={"number": number})
            try:
                self._client.upsert(COLLECTION, [point], wait=True)
            except Exception:  # noqa: BLE001 - however the client puts it, the instance is gone
                return
            with self._beyond:
                self.acknowledged = number
                self._beyond.notify_all()


def missing(client: QdrantClient, acknowledged: int) -> list[int]:
    """Return which acknowledged writes are not there."""
    found, _ = client.scroll(COLLECTION, limit=acknowledged + 1, with_payload=True)
    there = {record.id for record in found if record.payload and record.payload["number"] == record.id}
    return [number for number in range(1, acknowledged + 1) if number not in there]
