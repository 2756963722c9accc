"""What the edge costs: the same requests through it and to the engine directly.

Measures throughput and the slowest hundredth, by what is asked, over which protocol, and from how many connections.
"""

import json
import subprocess
import sys
from pathlib import Path

from bench import load, workloads
from bench.report import RATIO, Figure, Line, Plot, Subject, figure, ratios, slowest_hundredth
from bench.stage import Stage

_ROOT = Path(__file__).resolve().parents[1]
_KINDS = {"read": "reads", "mixed": "9 reads to 1 write of 10 points", "bulk": "writes of 200 points"}
_PROTOCOLS = {"rest": "REST", "grpc": "gRPC"}

# By target, the latencies of each round, in seconds.
Rounds = dict[str, list[list[float]]]


def measure(stage: Stage) -> Subject:
    """Measure reads at every concurrency, the rest at one, against one instance."""
    sizes = stage.sizes
    usual = sizes.connections[0]
    figures: list[Figure] = []
    reads: dict[str, list[list[float]]] = {protocol: [] for protocol in _PROTOCOLS}
    data = workloads.dense(sizes.small)
    bucket = stage.new_folder("bucket")
    with stage.instance(bucket) as filled:
        filled.wait_until("ready")
        data.create(filled.ports.public)
        workloads.Workload("bulk", "", 0, (load.BULK,)).create(filled.ports.public)
        data.fill(filled.ports.public)
        filled.snapshot()
        filled.terminate()
    # With keys, as in production: Qdrant checks them on both ways.
    with stage.instance(bucket, settings={"QDRANT_API_KEY": load.KEY}) as instance:
        instance.wait_until("ready")
        port = instance.ports.public
        for protocol, called in _PROTOCOLS.items():
            direct = instance.ports.grpc if protocol == "grpc" else instance.ports.rest
            for kind, asked in _KINDS.items():
                for connections in sizes.connections if kind == "read" else (usual,):
                    found = _load(
                        f"{protocol}-{kind}", direct, port, sizes.repetitions, sizes.round_seconds, connections
                    )
                    said = f"{called} {asked}, {connections} connection{'s' * (connections > 1)}"
                    figures += _figures(f"edge.{protocol}.{kind}.{connections}", said, found, sizes.round_seconds)
                    if kind == "read":
                        reads[protocol].append(ratios(map(len, found["edge"]), map(len, found["direct"])))
    plot = Plot(
        "edge-reads",
        "Reads through the edge",
        "connections",
        "throughput / direct",
        [Line(_PROTOCOLS[protocol], sizes.connections, samples) for protocol, samples in reads.items()],
    )
    said = f"{data.said}, with a key; {sizes.round_seconds:g} s in turns; client, edge and engine on the same cores"
    return Subject("edge", "What the edge costs", said, figures, [plot])


def _figures(key: str, said: str, found: Rounds, seconds: float) -> list[Figure]:
    return [
        figure(
            f"{key}.throughput",
            f"{said}: throughput / direct",
            RATIO,
            ratios(map(len, found["edge"]), map(len, found["direct"])),
        ),
        figure(
            f"{key}.p99",
            "  slowest hundredth / direct",
            RATIO,
            ratios(map(slowest_hundredth, found["edge"]), map(slowest_hundredth, found["direct"])),
        ),
        figure(f"{key}.direct", "  direct", "/s", [len(one) / seconds for one in found["direct"]]),
    ]


def _load(*arguments: object) -> Rounds:
    command = [sys.executable, "-m", "bench.load", *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE)
    found: Rounds = json.loads(done.stdout)
    return found
