"""Instances of one lineage, each with a store of its own that may fail, and a clock that a test sets."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from runtime.edge.gate import Refused
from runtime.lineage import Lineage
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.manifest import Manifest
from runtime.repository.repository import HeadState, Repository
from runtime.settings import StoreOutage
from tests.support import manifests
from tests.support.faults import Faults
from tests.support.model_store import FaultKind, ModelBucket, ModelStore

T = TypeVar("T")


TIMEOUT = 10.0


FRESH = TIMEOUT / 2


LOST = [FaultKind.FAIL_AFTER, FaultKind.RETRIED]


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class World:
    """A bucket and the instances that share it."""

    bucket: ModelBucket = field(default_factory=ModelBucket)
    clock: Clock = field(default_factory=Clock)

    def instance(self, name: str, *, outage: StoreOutage = "refuse") -> "Instance":
        """Return another instance."""
        return Instance(self, name, outage)

    def head(self) -> Head:
        """Return HEAD as it is in the bucket."""
        return Head.decode(self.bucket.objects[names.HEAD].data)

    def swaps(self) -> int:
        """Return how often HEAD was changed."""
        return sum(name == names.HEAD for _, _, name, _ in self.bucket.effects)


class Instance:
    """One instance's lineage, what may happen to its store, and whether it was fenced."""

    def __init__(self, world: World, name: str, outage: StoreOutage) -> None:
        self.faults = Faults()
        self.store = ModelStore(world.bucket, name, plan=self.faults)
        self.lineage = Lineage(Repository(self.store), name, timeout_seconds=TIMEOUT, outage=outage, clock=world.clock)
        self.fenced = 0
        self.lineage.on_fenced = self._on_fenced

    def _on_fenced(self) -> None:
        """Count it."""
        self.fenced += 1

    def manifest(self, reason: str = "change") -> Manifest:
        """Return the manifest of the next backup."""
        position = self.lineage.position(reason)
        return manifests.manifest(
            position.epoch, position.seq, lineage=position.lineage, writer=position.writer, reason=reason
        )

    async def commit(self, *, clean: bool = False) -> str:
        """Commit a backup of nothing."""
        return await self.lineage.commit(self.manifest(), clean=clean)


def run(story: Callable[[World], Awaitable[T]]) -> T:
    """Run a story in a world of its own."""

    async def tell() -> T:
        """Tell it."""
        return await story(World())

    return asyncio.run(tell())


async def seen(instance: Instance) -> HeadState:
    """Return HEAD as an instance reads it, which has to be there."""
    state = await instance.lineage.look()
    assert state is not None
    return state


async def writer(world: World, name: str = "a", *, outage: StoreOutage = "refuse") -> Instance:
    """Return an instance that made the lineage."""
    instance = world.instance(name, outage=outage)
    await instance.lineage.create()
    return instance


async def taken_over(world: World, name: str = "b") -> Instance:
    """Return another instance that claimed the lineage."""
    instance = world.instance(name)
    await instance.lineage.claim(await seen(instance))
    return instance


async def refused(instance: Instance) -> str:
    """Return why an acknowledgement is refused."""
    with pytest.raises(Refused) as caught:
        await instance.lineage.acknowledge()
    return caught.value.reason
