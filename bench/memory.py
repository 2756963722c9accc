"""Memory of everything but the engine, while 1 GB is filled in, backed up and restored.

Measures the kernel's own high-water mark of each process: nothing between two looks is missed.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import psutil

from bench import points
from bench.report import Figure, Subject
from bench.stage import Stage
from local.bucket import bucket_emulator
from local.instance import LocalInstance

# Packs are uploaded two at a time, so several give the higher peak; and the emulator is slow with large objects.
_COLLECTIONS = 5
_POINTS = 1_000_000_000 // points.POINT_BYTES // _COLLECTIONS


def measure(stage: Stage) -> Subject:
    """Measure with a directory as the store, then with the emulator of a bucket."""
    figures = _there_and_back(stage, "file://", f"file://{stage.new_folder('bucket')}", {})
    with _emulator(stage.new_folder("emulated")) as emulator:
        figures += _there_and_back(stage, "gs://", "gs://backups/bench", {"STORAGE_EMULATOR_HOST": emulator})
    return Subject("memory", figures, "1 GB; peaks as the kernel keeps them")


def _there_and_back(stage: Stage, store: str, url: str, settings: dict[str, str]) -> list[Figure]:
    figures = []
    with stage.instance(url, settings=settings) as instance:
        instance.wait_until("ready")
        for number in range(_COLLECTIONS):
            points.create(instance.ports.public, f"bench-{number}")
            points.fill(instance.ports.public, range(_POINTS), collection=f"bench-{number}")
        instance.snapshot()
        figures += _peaks(instance, f"{store} filling in and backing up")
        instance.terminate()
    with stage.instance(url, settings=settings) as instance:
        instance.wait_until("restored")
        figures += _peaks(instance, f"{store} restoring")
        instance.terminate()
    return figures


def _peaks(instance: LocalInstance, during: str) -> list[Figure]:
    agent = psutil.Process(instance.process.pid)
    proxy = next(child for child in agent.children(recursive=True) if child.name() == "haproxy")
    return [
        Figure(f"{during}: agent and gate", "MB", [_peak(agent.pid)], 150.0),
        Figure(f"{during}: HAProxy", "MB", [_peak(proxy.pid)]),
    ]


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"the kernel keeps no peak of process {pid}")


@contextlib.contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    with asyncio.Runner() as runner:
        opened = _opened(folder)
        try:
            yield runner.run(anext(opened))
        finally:
            runner.run(opened.aclose())


async def _opened(folder: Path) -> AsyncGenerator[str]:
    async with bucket_emulator(folder) as url:
        yield url
