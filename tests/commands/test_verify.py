import asyncio
import json
from pathlib import Path

import pytest

from runtime.repository.directory import DirectoryStore
from runtime.repository.repository import Repository
from runtime.verify import look
from tests.commands.conftest import Command, Made


def pack_of(made: Made, identifier: str) -> Path:
    """Return a pack that the backup needs."""
    manifest = json.loads((made.bucket / "manifests" / f"{identifier}.json").read_text())
    return made.bucket / str(min(manifest["packs"]))


def flip(path: Path, offset: int) -> None:
    """Change one byte where it lies, as a rotten disk would: the store's own bookkeeping does not learn of it."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    import os

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def live_byte(made: Made, identifier: str) -> tuple[Path, int]:
    """Return a pack and an offset in it that a restore of the backup reads."""
    manifest = json.loads((made.bucket / "manifests" / f"{identifier}.json").read_text())
    files = [
        file
        for collection in manifest["collections"].values()
        for shard in collection["shards"].values()
        for file in shard["files"].values()
        if file["size"] > sum(length for _, length in file["holes"])
    ]
    return made.bucket / files[0]["pack"], files[0]["offset"]


@pytest.mark.parametrize("which", [None, 0, 2])
def test_a_good_backup_is_good(made: Made, command: Command, which: int | None) -> None:
    """The newest when none is named; older ones by their id."""
    ran = command("verify", *([] if which is None else [made.ids[which]]), "--json")

    assert ran.code == 0
    assert ran.json["ok"] is True
    assert ran.json["backup"] == made.ids[2 if which is None else which]
    assert ran.json["packs"] > 0


def test_people_are_told_in_a_sentence(made: Made, command: Command) -> None:
    """Text names the backup and the depth."""
    assert f"Backup {made.ids[2]} is good (cheap)" in command("verify").out


@pytest.mark.parametrize("harm", ["missing", "cut", "replaced"])
def test_the_cheap_look_finds_a_pack_that_is_not_what_was_written(made: Made, command: Command, harm: str) -> None:
    """Missing, shorter, or other bytes of the same length: exit 4, and the pack is named."""
    pack = pack_of(made, made.ids[2])
    data = pack.read_bytes()
    if harm == "missing":
        pack.unlink()
    elif harm == "cut":
        pack.write_bytes(data[:-512])
    else:
        pack.write_bytes(b"x" + data[1:])
    ran = command("verify")

    assert ran.code == 4
    assert str(pack.relative_to(made.bucket)) in ran.out
    assert "RESTORE_FALLBACK=older" in ran.err


def test_a_manifest_that_head_does_not_mean_is_damage(made: Made, command: Command) -> None:
    """Its bytes are compared with the hash in HEAD."""
    manifest = made.bucket / "manifests" / f"{made.ids[2]}.json"
    manifest.write_text(manifest.read_text().replace('"test"', '"best"'))
    ran = command("verify", "--json")

    assert ran.code == 4
    assert ran.json["damage"][0]["what"] == f"manifests/{made.ids[2]}.json"
    assert ran.json["advice"]


def test_what_does_not_exist_is_not_damage(made: Made, command: Command) -> None:
    """An unknown id is exit 3, and so is an empty bucket."""
    assert command("verify", "00000009-0000000009").code == 3
    (made.bucket.parent / "empty").mkdir()
    assert command("verify", url=f"file://{made.bucket.parent}/empty").code == 3


def test_a_lost_head_names_repair(made: Made, command: Command) -> None:
    """Backups without HEAD are damage of the repository, never an empty one."""
    (made.bucket / "HEAD").unlink()
    ran = command("verify")

    assert ran.code == 4
    assert "repair" in ran.err


def test_deep_restores_opens_compares_and_keeps_the_verdict(made: Made, command: Command) -> None:
    """The scratch directory is gone afterwards; a second verdict does not overwrite the first."""
    first, second = command("verify", "--deep", "--json"), command("verify", "--deep", "--json")

    assert (first.code, second.code) == (0, 0), first.err
    assert first.json["record"] == f"verified/{made.ids[2]}-1.json"
    assert second.json["record"] == f"verified/{made.ids[2]}-2.json"
    kept = json.loads((made.bucket / first.json["record"]).read_text())
    assert kept["ok"] is True
    assert kept["points"] == 35
    assert sorted(path.name for path in made.bucket.parent.iterdir()) == ["bucket"]


def test_deep_finds_a_flipped_bit_that_the_store_does_not_know_of(made: Made, command: Command) -> None:
    """The cheap look trusts the store's checksum; the deep one the manifest's hash."""
    pack, offset = live_byte(made, made.ids[2])
    flip(pack, offset)

    assert command("verify").code == 0
    ran = command("verify", "--deep", "--json")
    assert ran.code == 4
    assert str(pack.relative_to(made.bucket)) in ran.json["damage"][0]["problem"]
    assert json.loads((made.bucket / ran.json["record"]).read_text())["ok"] is False


def test_deep_finds_counts_that_differ(made: Made, command: Command) -> None:
    """Every hash may be right and the backup still not hold what it says: Qdrant is asked."""
    older = made.bucket / "manifests" / f"{made.ids[0]}.json"
    older.write_text(older.read_text().replace('"points":20', '"points":21'))
    ran = command("verify", made.ids[0], "--deep")

    assert ran.code == 4
    assert "20 points, not 21" in ran.out


def test_the_cheap_look_asks_once_however_many_backups_there_are(made: Made) -> None:
    """HEAD twice, one manifest, one listing of the packs: the number of backups is not in it."""

    class Counting(DirectoryStore):
        """Counts what it is asked."""

        calls = 0

        async def read(self, name: str) -> tuple[bytes, int]:
            """Count a read."""
            self.calls += 1
            return await super().read(name)

        def list(self, prefix: str, *, after: str = ""):  # type: ignore[no-untyped-def]
            """Count a listing."""
            self.calls += 1
            return super().list(prefix, after=after)

    async def count() -> int:
        """Verify and return how much was asked."""
        store = Counting(made.bucket)
        assert (await look(Repository(store), None)).ok
        await store.close()
        return store.calls

    assert asyncio.run(count()) == 4
