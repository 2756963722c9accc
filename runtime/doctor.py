"""Does this bucket keep the promises that the repository is built on? Asked of the bucket itself.

Owns the probes and what their outcome means. Everything it makes is named `doctor-…` below the prefix and is taken
away again where the account may delete. HEAD and the backups are not touched.
"""

import asyncio
import io
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from runtime.errors import AlreadyExists, IntegrityError, PreconditionFailed, RuntimeFailure, StoreDenied, StoreError
from runtime.repository.bucket_facts import Examinable
from runtime.repository.store import ObjectInfo, Store

_ROUNDS = 5
_RACERS = 8
_STREAMED_BYTES = 3 * 1024 * 1024 + 17


class Verdict(StrEnum):
    """What came of a probe."""

    PASS = "pass"  # noqa: S105
    FAIL = "FAIL"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Check:
    """One probe's outcome, and what was found."""

    probe: str
    verdict: Verdict
    finding: str


class Doctor:
    """One examination."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._prefix = f"doctor-{secrets.token_hex(6)}"

    async def examine(self) -> list[Check]:
        """Run every probe and tidy up. Failures of a probe are its outcome; nothing is raised for them."""
        probes: tuple[tuple[str, Callable[[], Awaitable[Check]]], ...] = (
            ("create", self._create),
            ("create if absent", self._create_if_absent),
            ("read after write", self._read_after_write),
            ("list after write", self._list_after_write),
            ("stream and range", self._stream_and_range),
            ("compare-and-swap", self._compare_and_swap),
            ("checksum refusal", self._checksum_refusal),
            ("delete", self._delete),
            ("location", self._facts),
        )
        checks = []
        for name, probe in probes:
            try:
                check = await probe()
            except RuntimeFailure as failure:
                check = Check(name, Verdict.FAIL, str(failure))
            checks.append(check)
            if name == "create" and check.verdict is Verdict.FAIL:
                break
        return checks

    async def _create(self) -> Check:
        await self._store.write_new(f"{self._prefix}-a", b"first")
        return Check("create", Verdict.PASS, f"may create objects in {self._store}")

    async def _create_if_absent(self) -> Check:
        try:
            await self._store.write_new(f"{self._prefix}-a", b"second")
        except AlreadyExists:
            return Check("create if absent", Verdict.PASS, "a name that is taken is refused")
        return Check("create if absent", Verdict.FAIL, "an object was overwritten by a create: backups could be, too")

    async def _read_after_write(self) -> Check:
        for number in range(_ROUNDS):
            name, data = f"{self._prefix}-r{number}", secrets.token_bytes(1000)
            info = await self._store.write_new(name, data)
            if await self._store.read(name) != (data, info.generation):
                return Check("read after write", Verdict.FAIL, "a read after a write gave something else")
        return Check("read after write", Verdict.PASS, f"{_ROUNDS} of {_ROUNDS} at once")

    async def _list_after_write(self) -> Check:
        for number in range(_ROUNDS):
            info = await self._store.write_new(f"{self._prefix}-l{number}", secrets.token_bytes(100))
            if info not in [found async for found in self._store.list(f"{self._prefix}-l")]:
                return Check("list after write", Verdict.FAIL, "a listing after a write lacked the object")
        return Check("list after write", Verdict.PASS, f"{_ROUNDS} of {_ROUNDS} at once, with size and CRC32C")

    async def _stream_and_range(self) -> Check:
        data = secrets.token_bytes(_STREAMED_BYTES)
        await self._store.upload(f"{self._prefix}-s", io.BytesIO(data))
        sink = io.BytesIO()
        await self._store.download(f"{self._prefix}-s", _STREAMED_BYTES // 2, 1000, sink)
        if sink.getvalue() != data[_STREAMED_BYTES // 2 :][:1000]:
            return Check("stream and range", Verdict.FAIL, "a range of a streamed object has other bytes")
        return Check("stream and range", Verdict.PASS, f"{_STREAMED_BYTES:,} bytes up, a range of them down")

    async def _compare_and_swap(self) -> Check:
        name = f"{self._prefix}-a"
        generation = (await self._store.stat(name)).generation

        async def race(number: int) -> bool:
            try:
                await self._store.swap(name, b"racer %d" % number, generation)
            except PreconditionFailed:
                return False
            return True

        try:
            won = [number for number, has in enumerate(await asyncio.gather(*map(race, range(_RACERS)))) if has]
        except StoreDenied:
            finding = "this account overwrites HEAD alone, as an instance should: run this as yourself to see it tried"
            return Check("compare-and-swap", Verdict.NOTE, finding)
        held, _ = await self._store.read(name)
        # None: the winner's reply was lost, and its own retry was told that somebody had won.
        if len(won) > 1 or held not in {b"racer %d" % number for number in won or range(_RACERS)}:
            finding = f"{len(won)} of {_RACERS} racing writers won: two instances could both commit"
            return Check("compare-and-swap", Verdict.FAIL, finding)
        return Check("compare-and-swap", Verdict.PASS, f"one of {_RACERS} racing writers won")

    async def _checksum_refusal(self) -> Check:
        if not isinstance(self._store, Examinable):
            return Check("checksum refusal", Verdict.NOTE, "no wire in between: the sum is taken on the disk")
        try:
            await self._store.create_with_wrong_checksum(f"{self._prefix}-w")
        except IntegrityError:
            return Check("checksum refusal", Verdict.PASS, "bytes that do not fit their CRC32C are refused")
        finding = "bytes that do not fit their CRC32C were stored: damage on the way would go unnoticed"
        return Check("checksum refusal", Verdict.FAIL, finding)

    async def _delete(self) -> Check:
        """Delete what was made. Whether the account should be able to is for a person to say."""
        there = [info async for info in self._store.list(self._prefix)]
        try:
            kept = await self._keeps_other_generations(there[0])
            for info in there:
                await self._store.delete(info.name, info.generation)
        except StoreDenied:
            finding = f"this account may not delete: right for an instance, prune needs another; left: {self._prefix}-*"
            return Check("delete", Verdict.NOTE, finding)
        if not kept:
            return Check("delete", Verdict.FAIL, "an object was deleted although its generation was another")
        finding = "this account may delete: right for prune, an instance's account should not be able to"
        return Check("delete", Verdict.NOTE, finding)

    async def _keeps_other_generations(self, info: ObjectInfo) -> bool:
        try:
            await self._store.delete(info.name, info.generation + 1)
        except PreconditionFailed:
            return True
        return False

    async def _facts(self) -> Check:
        if not isinstance(self._store, Examinable):
            return Check("location", Verdict.NOTE, "a directory: it is lost with its disk")
        try:
            facts = await self._store.facts()
        except StoreDenied as error:
            return Check("location", Verdict.NOTE, f"this account may not ask (storage.buckets.get): {error.message}")
        except StoreError as error:
            return Check("location", Verdict.NOTE, f"not known: {error.message}")
        kept = f"soft delete keeps {facts.soft_delete_days:g} days" if facts.soft_delete_days else "soft delete is off"
        versions = "versioning is on" if facts.versioning else "versioning is off"
        finding = f"{facts.location} ({facts.location_type}), {facts.storage_class}; {versions}; {kept}"
        return Check("location", Verdict.NOTE, finding)
