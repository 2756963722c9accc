"""A collection brought from one engine to another point by point, against a loop that only scrolls and upserts.

Measures the verified copy's throughput, what an unchanged source costs, and what a run that was killed repeats.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import requests

from bench import points, workloads
from bench.report import RATIO, Subject, figure, ratios
from bench.stage import EngineAlone, Stage
from runtime.errors import EngineError
from runtime.run_sink import Progress
from runtime.sync import schema
from runtime.sync.ledger import Entry, Ledger
from runtime.sync.mirror import Mirror, Sides
from runtime.sync.pages import Page, PointId
from runtime.sync.reading import Pacer
from runtime.sync.remote import Remote
from runtime.sync.survey import survey

_PLAIN_PAGE = 200
_KILLED_AT = 0.9


def measure(stage: Stage) -> Subject:
    """Measure two engines side by side."""
    count = stage.sizes.small // 4  # a copy over REST takes seconds for some thousand points
    data = workloads.dense(count)
    with (
        stage.engine_alone(stage.new_folder("source") / "storage") as source,
        stage.engine_alone(stage.new_folder("target") / "storage") as target,
    ):
        data.create(source.rest)
        points.fill(source.grpc, range(count))
        plain, verified = [], []
        for _ in range(stage.sizes.repetitions):
            plain.append(_seconds_of_plain_copy(source, target))
            verified.append(asyncio.run(_verified(source, target, stage.new_folder("ledger"))))
        asked = asyncio.run(_requests_when_unchanged(source))
        repeated = asyncio.run(_repeated(source, target, stage.new_folder("ledger"), count))
    return Subject(
        "sync",
        "A verified copy between engines",
        f"{data.said}; REST; both engines and the sync on the same cores",
        [
            figure(
                "sync.copy",
                "throughput of a verified copy / a loop of scroll and upsert",
                RATIO,
                ratios(plain, verified),
            ),
            figure("sync.unchanged", "requests to an unchanged source with one collection", "", [float(asked)]),
            figure("sync.resume", "points read again after a kill at 90 % / all that are read", RATIO, [repeated]),
        ],
    )


def _seconds_of_plain_copy(source: EngineAlone, target: EngineAlone) -> float:
    """Copy as a script would: page by page, parsed and written again, nothing compared."""
    _drop(target)
    info = requests.get(_url(source, ""), timeout=60).json()["result"]["config"]
    wanted = {"vectors": info["params"]["vectors"], "optimizers_config": info["optimizer_config"]}
    requests.put(_url(target, ""), json=wanted, timeout=60).raise_for_status()
    started, offset = time.monotonic(), None
    with requests.Session() as session:
        while True:
            asked = {"limit": _PLAIN_PAGE, "offset": offset, "with_vector": True, "with_payload": True}
            page = session.post(_url(source, "/points/scroll"), json=asked, timeout=120).json()["result"]
            written = session.put(_url(target, "/points?wait=true"), json={"points": page["points"]}, timeout=120)
            written.raise_for_status()
            offset = page["next_page_offset"]
            if offset is None:
                return time.monotonic() - started


class _Killed(Exception):
    """The run ends here."""


class _Counted(Remote):
    """An engine whose requests and points are counted; ends as by a kill once it gave `most` points."""

    requests = 0
    points = 0
    most = float("inf")

    async def scroll(self, collection: str, offset: PointId | None, limit: int) -> Page:
        """Return a page, and count it."""
        if self.points >= self.most:
            raise _Killed
        page = await super().scroll(collection, offset, limit)
        self.points += len(page.points())
        return page

    async def _once(self, *args: object, **more: object) -> bytes:
        self.requests += 1
        return await super()._once(*args, **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def _opened(engine: EngineAlone) -> AsyncIterator[_Counted]:
    remote = _Counted(f"http://127.0.0.1:{engine.rest}", None, what="engine", key_name="")
    try:
        yield remote
    finally:
        await remote.close()


async def _verified(source: EngineAlone, target: EngineAlone, folder: Path) -> float:
    """Copy and compare; return the seconds."""
    _drop(target)
    async with _opened(source) as ours, _opened(target) as theirs:
        started = time.monotonic()
        await _mirror(ours, theirs, Ledger.load(folder, ""))
        return time.monotonic() - started


async def _requests_when_unchanged(source: EngineAlone) -> int:
    async with _opened(source) as ours:
        found = await survey(ours)
        if not all(found.collections.values()):
            raise EngineError("the engine does not tell whether anything was written")
        return ours.requests


async def _repeated(source: EngineAlone, target: EngineAlone, folder: Path, count: int) -> float:
    """Return the share of the work that is done twice when a run ends at 90 % of it and another goes on."""
    _drop(target)
    whole = 2 * count
    async with _opened(source) as first, _opened(target) as theirs:
        first.most = _KILLED_AT * whole
        with contextlib.suppress(_Killed):
            await _mirror(first, theirs, Ledger.load(folder, ""))
        read = first.points
    async with _opened(source) as second, _opened(target) as theirs:
        await _mirror(second, theirs, Ledger.load(folder, ""))
        return (read + second.points - whole) / whole


async def _mirror(source: Remote, target: Remote, ledger: Ledger) -> Entry:
    entry = ledger.entry(points.COLLECTION)
    if entry.stage == "new":
        wanted = await schema.read(source, points.COLLECTION)
        if wanted is None:
            raise EngineError("the source has no collection")
        await schema.make(target, points.COLLECTION, wanted)
        entry.begin("copy")

    async def untold() -> str | None:
        return None

    await Mirror(
        Sides(source, target, may_delete=True),
        entry,
        keep=ledger.save,
        fingerprint=untold,
        progress=Progress(),
        pacer=Pacer(),
    ).run()
    return entry


def _drop(engine: EngineAlone) -> None:
    requests.delete(_url(engine, ""), timeout=60)


def _url(engine: EngineAlone, rest: str) -> str:
    return f"http://127.0.0.1:{engine.rest}/collections/{points.COLLECTION}{rest}"
