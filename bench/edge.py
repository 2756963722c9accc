"""What the edge costs: the same requests through it and to the engine directly.

Measures throughput and the slowest hundredth of searches, and bulk writes through the gate.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from bench import load, points
from bench.report import Figure, Subject, ratios
from bench.stage import Stage

_POINTS = 20_000
_ROUNDS = 5
_SECONDS = 1.5
_CONNECTIONS = 4
_ROOT = Path(__file__).resolve().parents[1]

# What is asked, how it is called, and the least share of the direct throughput it should keep.
_KINDS = (
    ("rest-search", "REST search", 0.95),
    ("grpc-query", "gRPC query", 0.95),
    ("rest-upsert", "REST upsert of 200 points", 0.8),
    ("grpc-upsert", "gRPC upsert of 200 points", 0.8),
)
_SLOWEST = 1.2


def measure(stage: Stage) -> Subject:
    """Measure each kind against one instance."""
    figures = []
    with stage.instance(stage.new_folder("bucket")) as instance:
        instance.wait_until("ready")
        points.create(instance.ports.public)
        points.create(instance.ports.public, load.BULK)
        points.fill(instance.ports.public, range(_POINTS))
        for kind, called, goal in _KINDS:
            direct_port = instance.ports.grpc if kind.startswith("grpc") else instance.ports.rest
            found = _load(kind, direct_port, instance.ports.public)
            throughput = ratios(map(len, found["edge"]), map(len, found["direct"]))
            figures.append(Figure(f"{called}: throughput / direct", "x", throughput, goal, at_least=True))
            if "upsert" not in kind:
                slowest = ratios(map(_p99, found["edge"]), map(_p99, found["direct"]))
                figures.append(Figure(f"{called}: p99 / direct", "x", slowest, _SLOWEST))
            figures.append(
                Figure(f"  {called}: direct, per second", "/s", [len(r) / _SECONDS for r in found["direct"]])
            )
    return Subject("edge", figures, f"768 dimensions, {_CONNECTIONS} connections, rounds of {_SECONDS:g} s in turns")


def _load(kind: str, direct: int, edge: int) -> dict[str, list[list[float]]]:
    arguments = [kind, str(direct), str(edge), str(_ROUNDS), str(_SECONDS), str(_CONNECTIONS)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", *arguments], cwd=_ROOT, check=True, stdout=subprocess.PIPE
    )
    found: dict[str, list[list[float]]] = json.loads(done.stdout)
    return found


def _p99(latencies: list[float]) -> float:
    return statistics.quantiles(latencies, n=100)[98]
