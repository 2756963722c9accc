import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from local.bucket import bucket_emulator
from runtime.doctor import Doctor, Verdict
from runtime.repository.store import ObjectInfo
from tests.commands.conftest import Command, Made, Ran
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.strict_gcs import StrictGcs, strict_gcs


@pytest.fixture
def strict() -> Iterator[StrictGcs]:
    """Give the strict server, empty."""
    with strict_gcs() as server:
        yield server


def verdicts(ran: Ran) -> dict[str, str]:
    """Return each probe's verdict."""
    return {check["probe"]: check["verdict"] for check in ran.json["checks"]}


def finding(ran: Ran, probe: str) -> str:
    """Return what a probe found."""
    return next(str(check["finding"]) for check in ran.json["checks"] if check["probe"] == probe)


SOUND = dict.fromkeys(
    ("create", "create if absent", "read after write", "list after write", "stream and range"), "pass"
)


def test_a_directory_is_sound(made: Made, command: Command) -> None:
    """Nothing fails, nothing is left, nothing else is touched."""
    before = sorted(made.bucket.rglob("*"))
    ran = command("doctor", "--json")

    assert ran.code == 0, ran.out
    assert verdicts(ran) == SOUND | {
        "compare-and-swap": "pass",
        "checksum refusal": "note",
        "delete": "note",
        "location": "note",
    }
    assert [path for path in sorted(made.bucket.rglob("*")) if ".store" not in path.parts] == [
        path for path in before if ".store" not in path.parts
    ]


def test_a_strict_bucket_is_sound(strict: StrictGcs, command: Command) -> None:
    """Checksum refusal is proven on the wire; location, versioning and soft delete are told."""
    ran = command("doctor", "--json", url="gs://backups/some/prefix", STORAGE_EMULATOR_HOST=strict.url)

    assert ran.code == 0, ran.out
    assert verdicts(ran) == SOUND | {
        "compare-and-swap": "pass",
        "checksum refusal": "pass",
        "delete": "note",
        "location": "note",
    }
    assert finding(ran, "location") == "EUROPE-WEST1 (region), STANDARD; versioning is on; soft delete keeps 7 days"
    assert "may delete" in finding(ran, "delete")
    assert strict.objects.stored == {}


def test_everything_is_made_below_the_prefix(strict: StrictGcs, command: Command) -> None:
    """And named so that a person knows what it was; an account that may not delete is told what is left."""
    strict.objects.restricted = True
    ran = command("doctor", "--json", url="gs://backups/some/prefix", STORAGE_EMULATOR_HOST=strict.url)

    assert ran.code == 0, ran.out
    assert verdicts(ran)["compare-and-swap"] == "note"
    assert verdicts(ran)["delete"] == "note"
    assert "may not delete: right for an instance" in finding(ran, "delete")
    assert all(re.match(r"some/prefix/doctor-[0-9a-f]{12}-", name) for name in strict.objects.stored)
    assert "buckets.get" in finding(ran, "location")


def test_a_bucket_that_refuses_everything_fails_at_once(strict: StrictGcs, command: Command) -> None:
    """Exit 6, and the missing right is named."""
    strict.objects.denied = True
    ran = command("doctor", url="gs://backups/p", STORAGE_EMULATOR_HOST=strict.url)

    assert ran.code == 6
    assert "1 of 1 probes failed" in ran.out
    assert "storage.objects.create" in ran.out


@pytest.mark.parametrize(
    ("verb", "probe"),
    [
        ("swap", "compare-and-swap"),
        ("write_new", "create if absent"),
        ("read", "read after write"),
        ("list", "list after write"),
    ],
)
def test_a_store_that_breaks_a_promise_fails_that_probe(verb: str, probe: str) -> None:
    """Two swaps from one generation, a create over something, a stale read, a stale listing."""

    class Lax(ModelStore):
        """Breaks one promise."""

        async def swap(self, name: str, data: bytes, generation: int) -> ObjectInfo:
            """Swap whatever is there."""
            if verb == "swap":
                return self.bucket.put(self.client_id, verb, name, data, self.bucket.get(name).generation)
            return await super().swap(name, data, generation)

        async def write_new(self, name: str, data: bytes) -> ObjectInfo:
            """Write over what is there."""
            if verb == "write_new" and name in self.bucket.objects:
                return await super().swap(name, data, self.bucket.get(name).generation)
            return await super().write_new(name, data)

        async def read(self, name: str) -> tuple[bytes, int]:
            """Answer with what was there a while ago."""
            data, generation = await super().read(name)
            return (data, generation - 1) if verb == "read" else (data, generation)

        async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
            """Leave out what is newest."""
            found = [info async for info in super().list(prefix, after=after)]
            for info in found[:-1] if verb == "list" else found:
                yield info

    checks = asyncio.run(Doctor(Lax(ModelBucket())).examine())
    assert [check.probe for check in checks if check.verdict is Verdict.FAIL] == [probe]


def test_a_laxer_store_is_found_out(command: Command) -> None:
    """The emulator takes wrong checksums and deletes whatever the generation: it is not the service."""

    async def run() -> Ran:
        """Examine it."""
        async with bucket_emulator() as url:
            return await asyncio.to_thread(command, "doctor", "--json", url="gs://backups/p", STORAGE_EMULATOR_HOST=url)

    ran = asyncio.run(run())
    assert ran.code == 6
    assert {probe for probe, verdict in verdicts(ran).items() if verdict == "FAIL"} == {"checksum refusal", "delete"}
