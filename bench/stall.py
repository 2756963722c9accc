"""What a client that writes notices of a backup.

Measures every write of two clients while a full amount of data is backed up, by this project, by the stock way, and
while nothing is.
"""

import contextlib
import http.client
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from bench import points, stock, workloads
from bench.report import RATIO, Subject, figure, slowest_hundredth
from bench.stage import Stage

_CLIENTS = 2
_BEFORE_SECONDS = 0.3
_CALM_SECONDS = 1.5


def measure(stage: Stage) -> Subject:
    """Measure all three in turns on one instance."""
    data = workloads.dense(stage.sizes.large)
    kept, spool = stock.in_folder(stage.new_folder("kept")), stage.new_folder("spool")
    with stage.instance(stage.copy_of(stage.seed(data).bucket)) as instance:
        instance.wait_until("restored", seconds=120)
        port = instance.ports.public
        ways: dict[str, Callable[[], object]] = {
            "calm": lambda: time.sleep(_CALM_SECONDS),
            "backup": instance.snapshot,
            "stock": lambda: stock.back_up(instance.ports.rest, data.collections, spool, kept),
        }
        found: dict[str, list[list[float]]] = {way: [] for way in ways}
        for number, order in stage.in_turns(ways):
            data.change(port, 0.01, number)
            for way in order:
                with _writing(port) as latencies:
                    time.sleep(_BEFORE_SECONDS)
                    latencies.clear()
                    ways[way]()
                found[way].append([1000 * one for one in latencies])
        instance.terminate()
    called = {"calm": "while nothing is backed up", "backup": "during a backup", "stock": "during the stock way"}
    figures = []
    for way in ("backup", "stock", "calm"):
        figures += [
            figure(f"stall.{way}.worst", f"slowest write {called[way]}", "ms", [max(one) for one in found[way]]),
            figure(f"stall.{way}.p99", "  slowest hundredth", "ms", [slowest_hundredth(one) for one in found[way]]),
        ]
    throughput = [
        statistics.median(calm) / statistics.median(busy)
        for calm, busy in zip(found["calm"], found["backup"], strict=True)
    ]
    figures.append(figure("stall.backup.throughput", "writes during a backup / while nothing is", RATIO, throughput))
    said = f"{data.said}, 1 % changed before; {_CLIENTS} clients that write one point after the other over REST"
    return Subject("stall", "What a writer notices of a backup", said, figures)


@contextlib.contextmanager
def _writing(port: int) -> Iterator[list[float]]:
    """Let clients write for the duration of the block; yields the seconds of each write as they are acknowledged."""
    latencies: list[float] = []
    ended = threading.Event()

    def write(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in itertools.count(client, _CLIENTS):
            if ended.is_set():
                break
            body = points.upsert_body([number % 1000])
            started = time.monotonic()
            connection.request(
                "PUT",
                f"/collections/{points.COLLECTION}/points?wait=true",
                body,
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                latencies.append(time.monotonic() - started)
        connection.close()

    threads = [threading.Thread(target=write, args=(client,)) for client in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield latencies
    finally:
        ended.set()
        for thread in threads:
            thread.join()
