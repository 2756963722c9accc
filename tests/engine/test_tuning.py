import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import contract
from runtime.container import Allowance, disk_left, is_memory_disk
from runtime.engine import process
from runtime.engine.tuning import GIB, OVERHEAD_BYTES, Room, refuse_what_cannot_fit, tuning
from runtime.errors import ConfigError
from runtime.settings import Settings
from tests.support.engines import Engine

MEMORY = st.integers(128 << 20, 64 << 30)
PROCESSORS = st.floats(0.08, 64)


@given(processors=PROCESSORS, memory=MEMORY, memory_disk=st.booleans())
def test_the_engine_is_told_of_the_container_not_of_the_machine(
    processors: float,
    memory: int,
    memory_disk: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever the limits, Qdrant gets whole processors, a small log and no telemetry, and segments that fit twice."""
    told = tuning(Allowance(processors, memory), memory_disk=memory_disk)

    assert int(told["QDRANT_NUM_CPUS"]) >= 1
    assert int(told["QDRANT_NUM_CPUS"]) - 1 < processors <= int(told["QDRANT_NUM_CPUS"])
    assert told["QDRANT__STORAGE__WAL__WAL_CAPACITY_MB"] == "2"
    assert told["QDRANT__TELEMETRY_DISABLED"] == "true"
    assert ("QDRANT__STORAGE__HNSW_INDEX__ON_DISK" in told) == memory_disk
    if memory_disk:
        assert int(told["QDRANT__STORAGE__OPTIMIZERS__MAX_SEGMENT_SIZE_KB"]) * 1024 * 2 <= memory


def test_what_a_user_sets_wins() -> None:
    """A QDRANT__ variable of the environment is handed on instead of the one that was worked out."""
    more = {"QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "8", "QDRANT_NUM_CPUS": "3", "K_SERVICE": "qdrant"}
    told = process.environment(Settings.from_env({"BACKUP_URL": "gs://bucket", **more}))

    assert told["QDRANT__STORAGE__WAL__WAL_CAPACITY_MB"] == "8"
    assert told["QDRANT_NUM_CPUS"] == "3"


@pytest.mark.parametrize("mark", [contract.IN_A_SERVICE, contract.IN_A_JOB])
def test_cloud_run_s_own_file_system_is_memory_in_services_and_jobs(mark: str) -> None:
    """What Cloud Run sets in a service's or a job's container tells that the root file system is memory."""
    settings = Settings.from_env({"BACKUP_URL": "gs://bucket", "QDRANT_STORAGE_DIR": "/nowhere/storage", mark: "q"})

    assert process.room(settings).memory_disk


@given(data=st.integers(0, 64 << 30), memory=MEMORY)
def test_what_cannot_fit_in_memory_is_refused(data: int, memory: int) -> None:
    """Refused exactly when data and programs exceed the limit, and never on a disk of its own."""
    fits = data + OVERHEAD_BYTES <= memory
    with contextlib.nullcontext() if fits else pytest.raises(ConfigError, match=f"{memory:,} bytes of memory"):
        refuse_what_cannot_fit(data, Room(Allowance(1, memory), memory_disk=True, disk_bytes=None))
    refuse_what_cannot_fit(data, Room(Allowance(1, memory), memory_disk=False, disk_bytes=None))


@pytest.mark.parametrize(
    ("gib", "advice"),
    [
        (1, "at least 2 GiB of memory, which Cloud Run has from 1 CPU"),
        (3, "at least 5 GiB of memory, which Cloud Run has from 2 CPU"),
        (9, "at least 15 GiB of memory, which Cloud Run has from 4 CPU"),
        (19, "at least 31 GiB of memory, which Cloud Run has from 8 CPU"),
        (40, "more than Cloud Run has"),
    ],
)
def test_the_refusal_names_what_would_do(gib: int, advice: str) -> None:
    """The hint is a size that Cloud Run offers, with the processors it takes; and that size is not refused."""
    with pytest.raises(ConfigError) as caught:
        refuse_what_cannot_fit(gib * GIB, Room(Allowance(1, GIB), memory_disk=True, disk_bytes=None))

    assert advice in caught.value.hint


def test_a_full_disk_is_refused_with_the_disk_that_would_do() -> None:
    """Where files are on a disk, its free bytes decide, and the hint is about the disk."""
    with pytest.raises(ConfigError, match="disk has left") as caught:
        refuse_what_cannot_fit(5 * GIB, Room(Allowance(1, GIB), memory_disk=False, disk_bytes=4 * GIB))

    assert "a disk of at least 8 GiB" in caught.value.hint


MOUNTS = """overlay / overlay rw 0 0
tmpfs /data tmpfs rw 0 0
/dev/vdb /data/disk ext4 rw 0 0
tmpfs /a\\040b tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "memory_where"),
    [
        ("/data/qdrant/storage", {"anywhere", "cloud run"}),
        ("/data/disk/storage", set()),
        ("/somewhere", {"cloud run"}),
        ("/a b/storage", {"anywhere", "cloud run"}),
    ],
)
def test_a_memory_disk_is_recognised(tmp_path: Path, folder: str, memory_where: set[str]) -> None:
    """By the mount that a folder is on; on Cloud Run the root is memory whatever it is called."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mounts").write_text(MOUNTS)

    for place in ("anywhere", "cloud run"):
        found = is_memory_disk(Path(folder), on_cloud_run=place == "cloud run", processes=tmp_path)
        assert found is (place in memory_where)


def test_what_a_folder_holds_counts_as_room(tmp_path: Path) -> None:
    """A replica that is placed anew may use again what its own files use now."""
    empty = disk_left(tmp_path / "not" / "there")
    (tmp_path / "file").write_bytes(b"x" * (32 << 20))

    assert empty is not None
    left = disk_left(tmp_path)
    assert left is not None
    assert abs(left - empty) < 256 << 20


@pytest.fixture
def tuned(tmp_path: Path) -> Iterator[Engine]:
    """Run the real engine with everything that is worked out for a memory disk."""
    if "QDRANT_BIN" not in os.environ:
        pytest.skip("QDRANT_BIN names no real Qdrant")
    told = tuning(Allowance(1.0, 2 * GIB), memory_disk=True) | {"QDRANT__LOG_LEVEL": "INFO"}
    engine = Engine((os.environ["QDRANT_BIN"],), tmp_path, told)
    engine.wait_ready()
    yield engine
    engine.process.kill()
    engine.process.wait()


def test_the_real_engine_takes_every_setting(tuned: Engine) -> None:
    """Qdrant starts with them and says itself that collections get them."""
    tuned.call("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}})
    config = tuned.call("GET", "/collections/c").body["result"]["config"]

    assert config["hnsw_config"]["on_disk"] is True
    assert config["params"]["vectors"]["on_disk"] is True
    assert config["wal_config"]["wal_capacity_mb"] == 2
    assert config["optimizer_config"]["max_segment_size"] == 2 * GIB // 8 // 1024
    assert config["optimizer_config"]["default_segment_number"] == 1
    assert "unknown" not in tuned.log.read_text().lower()
