import hashlib
import json
import shutil
from pathlib import Path

import pytest

from runtime.stock_sources import collection_and_time
from tests.commands.conftest import Command, Made
from tests.support.strict_gcs import strict_gcs
from tests.support.strict_objects import Asked

RECORDED = Path(__file__).parents[1] / "fixtures" / "qdrant-1.18.3"
STOCK = RECORDED / "streams" / "stock.snapshot"
NAME = "mixed-6214528790349361-2026-11-01-10-20-30.snapshot"


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """Make an empty bucket where commands look for one."""
    (tmp_path / "bucket").mkdir()
    return tmp_path / "bucket"


def points() -> int:
    """Return how many points the recorded snapshot holds."""
    return len(json.loads((RECORDED / "points" / "3-after-optimizer.json").read_text()))


def put(bucket: Path, name: str, *, checksum: str | None = None) -> str:
    """Put the recorded snapshot into the bucket, as a script would; return its name."""
    path = bucket / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(STOCK, path)
    if checksum is not None:
        path.with_name(f"{path.name}.checksum").write_text(checksum)
    return name


@pytest.mark.usefixtures("bucket")
def test_a_local_snapshot_becomes_the_first_backup(command: Command, tmp_path: Path) -> None:
    """A real server's file, its collection told by its name; the backup is complete and let go."""
    shutil.copy(STOCK, tmp_path / NAME)
    ran = command("adopt", str(tmp_path / NAME), "--json")

    assert ran.code == 0, ran.err
    assert ran.json["collections"] == [{"collection": "mixed", "points": points(), "source": str(tmp_path / NAME)}]
    shown = command("show", "--json").json
    assert (shown["id"], shown["reason"], shown["points"]) == ("00000001-0000000001", "adopt", points())
    assert json.loads((tmp_path / "bucket" / "HEAD").read_text())["clean"] is True
    assert command("verify", "--deep").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket", NAME]


@pytest.mark.usefixtures("bucket")
def test_the_name_can_be_given(command: Command, tmp_path: Path) -> None:
    """For a file whose own name tells nothing; otherwise that is exit 2."""
    shutil.copy(STOCK, tmp_path / "dump:1.snapshot")

    assert command("adopt", str(tmp_path / "dump:1.snapshot")).code == 2
    ran = command("adopt", str(tmp_path / "dump:1.snapshot"), "--name", "my books", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["collections"][0]["collection"] == "my books"


def test_a_folder_of_a_bucket_gives_the_newest_of_each_collection(bucket: Path, command: Command) -> None:
    """As simple scripts fill one: YYYY/MM/DD/…snapshot; times in names are compared, and what was taken is shown."""
    put(bucket, "2026/10/31/mixed-1-2026-10-31-23-00-00.snapshot")
    newest = put(bucket, "2026/11/01/mixed-2-2026-11-01-09-00-00.snapshot")
    put(bucket, "2026/11/01/mixed-3-2026-11-01-08-00-00.snapshot")
    other = put(bucket, "2026/11/01/other-2026-11-01-08-00-00.snapshot")
    ran = command("adopt", "2026/", "--json")

    assert ran.code == 0, ran.err
    assert [row["source"] for row in ran.json["collections"]] == [f"file://{bucket}/{name}" for name in (newest, other)]
    assert command("show", "--json").json["points"] == 2 * points()


@pytest.mark.parametrize("local", [True, False])
def test_a_checksum_beside_it_is_checked(bucket: Path, command: Command, tmp_path: Path, *, local: bool) -> None:
    """Qdrant writes one; a snapshot that differs is exit 4, and nothing is claimed."""
    source = put(tmp_path if local else bucket, NAME, checksum="0" * 64)
    source = str(tmp_path / source) if local else source
    ran = command("adopt", source)
    assert ran.code == 4
    assert ".checksum" in ran.err
    assert not (bucket / "HEAD").exists()

    right = hashlib.sha256(STOCK.read_bytes()).hexdigest()
    put(tmp_path if local else bucket, NAME, checksum=f"{right}\n")
    assert command("adopt", source).code == 0


def test_a_lineage_with_data_is_left_alone(made: Made, command: Command, tmp_path: Path) -> None:
    """Exit 2; backups without HEAD are exit 4."""
    shutil.copy(STOCK, tmp_path / NAME)
    before = (made.bucket / "HEAD").read_bytes()

    assert command("adopt", str(tmp_path / NAME)).code == 2
    assert (made.bucket / "HEAD").read_bytes() == before
    (made.bucket / "HEAD").unlink()
    assert command("adopt", str(tmp_path / NAME)).code == 4


def test_a_lineage_without_data_takes_it(made: Made, command: Command, tmp_path: Path) -> None:
    """An instance was started on the bucket before; it hands over, or ended cleanly as here."""
    head = json.loads((made.bucket / "HEAD").read_text())
    shutil.rmtree(made.bucket / "manifests")
    empty = head | {"seq": 0, "manifest": None, "manifest_sha256": None}
    (made.bucket / "HEAD").write_text(json.dumps(empty))
    shutil.copy(STOCK, tmp_path / NAME)
    ran = command("adopt", str(tmp_path / NAME), "--json")

    assert ran.code == 0, ran.err
    assert ran.json["backup"] == "00000002-0000000001"
    assert command("show", "--json").json["lineage"] == head["lineage"]


def test_what_qdrant_does_not_recover_claims_nothing(bucket: Path, command: Command, tmp_path: Path) -> None:
    """A file that is cut, or none at all."""
    (tmp_path / NAME).write_bytes(STOCK.read_bytes()[:30_000])

    assert command("adopt", str(tmp_path / NAME)).code == 1
    assert command("adopt", "2026/").code == 3
    assert command("adopt", "/nowhere/x.snapshot").code == 3
    assert list(bucket.glob("HEAD")) == []


@pytest.mark.usefixtures("bucket")
def test_what_is_ambiguous_is_refused(command: Command, tmp_path: Path) -> None:
    """Two snapshots of one collection, one name for two snapshots, a snapshot of a whole storage."""
    names = ("a-1-2026-11-01-10-20-30", "a-2-2026-11-01-10-20-30", "full-snapshot-2026-11-01-10-20-30")
    files = [str(tmp_path / f"{name}.snapshot") for name in names]
    for file in files:
        shutil.copy(STOCK, file)

    assert command("adopt", *files[:2]).code == 2
    assert command("adopt", *files[:2], "--name", "b").code == 2
    ran = command("adopt", files[2])
    assert ran.code == 2
    assert "tar xf" in ran.err


def test_another_bucket_may_be_the_source(bucket: Path, command: Command) -> None:
    """gs://BUCKET/NAME, whatever BACKUP_URL is."""
    with strict_gcs(bucket="dumps") as server:
        query = {"uploadType": "multipart", "name": f"old/{NAME}"}
        head = b"--x\r\ncontent-type: application/json\r\n\r\n{}\r\n--x\r\n\r\n"
        body = head + STOCK.read_bytes() + b"\r\n--x--"
        headers = {"content-type": 'multipart/related; boundary="x"'}
        asked = Asked("POST", "/upload/storage/v1/b/dumps/o", query, headers, body)
        assert server.objects.answer(asked).status == 200
        ran = command("adopt", "gs://dumps/old/", "--json", STORAGE_EMULATOR_HOST=server.url)

    assert ran.code == 0, ran.err
    assert ran.json["collections"][0]["source"] == f"gs://dumps/old/{NAME}"
    assert (bucket / "HEAD").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("books-7213-2026-01-02-03-04-05.snapshot", ("books", "2026-01-02-03-04-05")),
        ("my-books-2-7213-2026-01-02-03-04-05.snapshot", ("my-books-2", "2026-01-02-03-04-05")),
        ("books-2026-01-02-03-04-05.snapshot", ("books", "2026-01-02-03-04-05")),
        ("books.snapshot", None),
        ("books-7213-2026-01-02.snapshot", None),
        ("books-7213-2026-01-02-03-04-05.snapshot.checksum", None),
    ],
)
def test_names_tell_the_collection(name: str, told: tuple[str, str] | None) -> None:
    """Qdrant's own form and that of `export`."""
    assert collection_and_time(name) == told
