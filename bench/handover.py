"""Handing over to a newcomer while somebody writes.

Measures the largest gap between acknowledgements, with the large collection and a writer that retries: it stays
with an instance until that refuses, then goes to the newcomer, as a load balancer would that moves traffic.
"""

import contextlib
import http.client
import shutil
import threading
import time

from bench import points, workloads
from bench.report import Subject, figure
from bench.stage import Stage
from bench.waiting import until
from local.instance import LocalInstance

_BETWEEN_WRITES = 0.005
_AFTER = 50


def measure(stage: Stage) -> Subject:
    """Let each instance hand over to the next."""
    data = workloads.dense(stage.sizes.large)
    bucket = stage.copy_of(stage.seed(data).bucket)
    pauses, usual = [], []
    with contextlib.ExitStack() as last:
        old = last.enter_context(stage.instance(bucket))
        old.wait_until("the first writer", seconds=120)
        for _ in range(stage.sizes.repetitions):
            with contextlib.ExitStack() as both:
                writer = _Writer(old)
                both.callback(writer.stop)
                writer.wait_for(_AFTER)
                new = last.enter_context(stage.instance(bucket))
                writer.next = new
                new.wait_until("the newcomer writes")
                writer.wait_for(_AFTER)
            gaps = writer.gaps()
            pauses.append(gaps[-1])
            usual.append(gaps[len(gaps) // 2])
            old.terminate()
            shutil.rmtree(old.folder, ignore_errors=True)
            old = new
        old.terminate()
    return Subject(
        "handover",
        "Handing over to a new revision",
        f"{data.said}; two live instances, one writer that retries",
        [
            figure("handover.pause", "write pause of a hand-over", "s", pauses),
            figure("handover.usual", "  usual gap between acknowledgements", "s", usual),
        ],
    )


class _Writer:
    """Writes one point after the other in a thread, and notes when each was acknowledged."""

    def __init__(self, instance: LocalInstance) -> None:
        self.acknowledged: list[float] = []
        self.next: LocalInstance | None = None
        self._at = instance
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more writes were acknowledged."""
        wanted = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= wanted)

    def gaps(self) -> list[float]:
        """Return the gaps between acknowledgements, the largest last."""
        return sorted(after - before for before, after in zip(self.acknowledged, self.acknowledged[1:], strict=False))

    def _run(self) -> None:
        number = 0
        connection = self._connect()
        while not self._ended.wait(_BETWEEN_WRITES):
            try:
                connection.request(
                    "PUT",
                    f"/collections/{points.COLLECTION}/points?wait=true",
                    points.upsert_body([number]),
                    {"Content-Type": "application/json"},
                )
                response = connection.getresponse()
                response.read()
                accepted = response.status == 200
            except (OSError, http.client.HTTPException):
                accepted = False
            if accepted:
                self.acknowledged.append(time.monotonic())
                number += 1
                continue
            connection.close()
            if self.next is not None:
                self._at = self.next
            connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._at.ports.public, timeout=20)
