"""From exec to listening: an instance must be reachable while it restores.

Measures an instance on an empty bucket, and what it costs while nothing happens.
"""

import functools
import socket
import time

import psutil

from bench.report import Subject, figure
from bench.stage import Stage
from bench.waiting import until

_IDLE_SECONDS = 2.0


def measure(stage: Stage) -> Subject:
    """Start it again and again; then leave one alone."""
    listening = []
    ready = []
    bucket = stage.new_folder("bucket")
    for _ in range(stage.sizes.repetitions + 1):
        started = time.monotonic()
        with stage.instance(bucket) as instance:
            port = instance.ports.public
            listening.append(until(functools.partial(_listens, port)) - started)
            instance.wait_until("ready")
            ready.append(time.monotonic() - started)
            instance.terminate()
    with stage.instance(bucket) as instance:
        instance.wait_until("ready")
        time.sleep(1)  # what a start leaves to do
        process = psutil.Process(instance.process.pid)
        cores = []
        for _ in range(stage.sizes.repetitions):
            before = process.cpu_times()
            time.sleep(_IDLE_SECONDS)
            after = process.cpu_times()
            # Sums of hundredths: nothing at all may come out as a little less.
            used = after.user + after.system - before.user - before.system
            cores.append(max(0.0, round(100 * used / _IDLE_SECONDS, 3)))
        resident = process.memory_info().rss / 1e6
    return Subject(
        "start",
        "A start with nothing to restore",
        "empty bucket; the first start, which may have to compile, is left out",
        [
            figure("start.listening", "exec to listening on the public port", "s", listening[1:]),
            figure("start.ready", "exec to ready", "s", ready[1:]),
            figure("start.idle.processor", "idle: processor time of the agent, share of a core", "%", cores),
            figure("start.idle.memory", "idle: agent and gate resident", "MB", [resident]),
        ],
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
