"""From exec to listening: an instance must be reachable while it restores.

Measures an instance on an empty bucket, and what it costs while nothing happens.
"""

import functools
import socket
import time

import psutil

from bench.report import Figure, Subject
from bench.stage import Stage, until

_REPETITIONS = 6
_IDLE_WINDOWS = 5
_IDLE_SECONDS = 2.0


def measure(stage: Stage) -> Subject:
    """Start it again and again; then leave one alone."""
    listening = []
    ready = []
    bucket = stage.new_folder("bucket")
    for _ in range(_REPETITIONS):
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
        for _ in range(_IDLE_WINDOWS):
            before = process.cpu_times()
            time.sleep(_IDLE_SECONDS)
            after = process.cpu_times()
            cores.append(100 * (after.user + after.system - before.user - before.system) / _IDLE_SECONDS)
        resident = process.memory_info().rss / 1e6
    return Subject(
        "start",
        [
            Figure("exec to listening on the public port", "s", listening[1:], goal=1.0),
            Figure("exec to ready, nothing to restore", "s", ready[1:]),
            Figure("idle: processor time of the agent, share of a core", "%", cores, goal=1.0),
            Figure("idle: agent and gate resident", "MB", [resident], goal=80.0),
        ],
        "empty bucket; the first start, which may have to compile, is left out",
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
