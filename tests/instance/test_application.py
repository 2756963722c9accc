"""An application's view: the qdrant-client for data, `runtime.Backups` for its safety, one address for both."""

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from runtime import Backups
from runtime.errors import ConfigError, NothingThere, WritesUnsaved
from tests.support.instances import Fleet, Instance

PAGE = Path(__file__).resolve().parents[2] / "docs" / "application.md"
KEY = "the-full-key"
DOCUMENTS = 100
# Well under thirty, on a machine that does other things too.
SECONDS = 15.0
KEYS = {"QDRANT_API_KEY": KEY, "QDRANT_READ_ONLY_API_KEY": "the-looking-key"}
# Nothing is saved but by request.
PATIENT = {"BACKUP_QUIET_SECONDS": "600", "BACKUP_MAX_AGE_SECONDS": "1200"}


def qdrant(instance: Instance) -> QdrantClient:
    """Return the client that an application uses."""
    return QdrantClient(url=instance.url, api_key=KEY, prefer_grpc=False, check_compatibility=False, timeout=30)


def document(number: int) -> models.PointStruct:
    """Return a document with its embedding."""
    chance = random.Random(number)
    vector = [chance.randrange(-64, 64) / 8 for _ in range(16)]
    return models.PointStruct(id=number, vector=vector, payload={"title": f"Document {number}", "tags": ["a", "ü"]})


def fill(client: QdrantClient) -> None:
    """Write the documents."""
    client.create_collection("documents", models.VectorParams(size=16, distance=models.Distance.DOT))
    client.upsert("documents", [document(number) for number in range(DOCUMENTS)], wait=True)


def held(client: QdrantClient) -> dict[int, models.PointStruct]:
    """Return everything that is there."""
    records, _ = client.scroll("documents", limit=10_000, with_payload=True, with_vectors=True)
    return {
        int(record.id): models.PointStruct(id=record.id, vector=record.vector, payload=record.payload)  # type: ignore[arg-type]
        for record in records
    }


WRITTEN = {number: document(number) for number in range(DOCUMENTS)}


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_hundred_documents_are_backed_up_and_restored(fleet: Fleet) -> None:
    """Saved, spoilt, restored: each as it was, within seconds; what is written then survives a killed instance."""
    one = fleet.start(**KEYS, **PATIENT)
    backups, client = Backups(one.url, KEY), qdrant(one)
    fill(client)
    saved = backups.backup(timeout_seconds=SECONDS)
    assert saved.committed
    assert [(target.collection, target.points) for target in saved.targets] == [("documents", DOCUMENTS)]
    assert backups.list()[0].id == saved.backup
    details = backups.show(saved.backup or "")
    assert (details.points, details.collections) == (DOCUMENTS, {"documents": DOCUMENTS})
    assert backups.verify().ok

    client.delete("documents", models.PointIdsList(points=list(range(60))), wait=True)
    client.overwrite_payload("documents", {"title": "spoilt"}, points=list(range(60, DOCUMENTS)), wait=True)
    client.create_collection("mistake", models.VectorParams(size=4, distance=models.Distance.DOT))
    done = backups.restore(saved.backup or "", timeout_seconds=SECONDS)

    assert (done.to, done.points["documents"], done.points["mistake"]) == (saved.backup, (40, DOCUMENTS), (0, None))
    assert held(client) == WRITTEN
    assert not client.collection_exists("mistake")
    assert backups.backup().committed is False
    assert backups.wait_until_saved(SECONDS).role == "standby"

    client.upsert("documents", [document(DOCUMENTS)], wait=True)
    assert backups.status().role == "writer"
    with pytest.raises(WritesUnsaved, match="1 writes are not saved"):
        backups.wait_until_saved(2.0)
    assert backups.backup(timeout_seconds=SECONDS).committed
    assert backups.wait_until_saved(SECONDS).unsaved_writes == 0
    one.kill()
    two = fleet.start(**KEYS, **PATIENT)
    assert held(qdrant(two)) == WRITTEN | {DOCUMENTS: document(DOCUMENTS)}


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_restore_under_load_loses_no_acknowledged_write(fleet: Fleet) -> None:
    """Each write acknowledged before, during or after a restore is in the backup before it, or on top of it."""
    one = fleet.start(**KEYS)
    backups, client = Backups(one.url, KEY), qdrant(one)
    fill(client)
    first = backups.backup(timeout_seconds=SECONDS).backup or ""
    acknowledged: list[int] = []
    stop, seen = threading.Event(), threading.Semaphore(0)

    def write() -> None:
        """Write one document after the other; a refusal is not an acknowledgement."""
        number = DOCUMENTS
        while not stop.is_set():
            number += 1
            body = {"points": [document(number).model_dump(exclude_none=True)]}
            answer = one.ask("PUT", "/collections/documents/points?wait=true", body, headers={"api-key": KEY})
            if answer.status_code == 200:
                acknowledged.append(number)
                seen.release()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(10):
                assert seen.acquire(timeout=SECONDS)
            done = backups.restore(first, timeout_seconds=2 * SECONDS)
            before = len(acknowledged)
            while len(acknowledged) < before + 10:
                assert seen.acquire(timeout=SECONDS)
        finally:
            stop.set()
        writing.result(timeout=2 * SECONDS)
    backups.wait_until_saved(SECONDS)
    after = held(client)
    assert {number: after[number] for number in WRITTEN} == WRITTEN
    backups.restore(done.newest_before, timeout_seconds=2 * SECONDS)
    undone = held(client)

    assert set(acknowledged) - after.keys() - undone.keys() == set()
    assert set(acknowledged[-10:]) <= after.keys()
    # What came on top of the restore begins where what it took away ends.
    assert max(undone) < min(number for number in after if number > DOCUMENTS)


def test_errors_say_what_to_do(fleet: Fleet) -> None:
    """A wrong key, the read-only one, and a backup that is none."""
    one = fleet.start(**KEYS)

    with pytest.raises(ConfigError, match="QDRANT_API_KEY"):
        Backups(one.url, "wrong").list()
    looking = Backups(one.url, "the-looking-key")
    assert looking.list() == ()
    with pytest.raises(ConfigError, match="can look"):
        looking.restore("00000001-0000000001")
    with pytest.raises(NothingThere, match="no backup"):
        Backups(one.url, KEY).restore("00000001-0000000001")


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_the_page_s_blocks_run_as_they_stand(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block of docs/application.md that imports from `runtime` does what the page says of it."""
    one = fleet.start(**KEYS)
    client = qdrant(one)
    fill(client)
    folder = fleet.folder / "folder"
    folder.mkdir()
    (folder / "index").write_bytes(b"index")
    given = {
        "url": one.url,
        "api_key": KEY,
        "client": client,
        "folder": folder,
        "prefix": f"file://{fleet.folder}/kept",
        "copy": fleet.folder / "copy",
    }
    blocks = re.findall(r"```python\n(from runtime.+?)```", PAGE.read_text(), re.DOTALL)
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), dict(given))  # noqa: S102  the page is ours

    assert len(blocks) == 3
    assert held(client) == WRITTEN
    assert (fleet.folder / "copy" / "index").read_bytes() == b"index"
    assert capsys.readouterr().out.startswith("1 ")
