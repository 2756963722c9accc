"""`sync pull` into a lineage that instances write to, or wrote to: nothing that one acknowledged is lost or hidden."""

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.engines import Engine
from tests.support.instances import Fleet, Instance, eventually, free_ports
from tests.support.wire import Asked, Wire
from tests.support.workload import points_of
from tests.sync.conftest import make_plain, plain_point, put

# No backup comes by itself: what was written is in the journal alone.
RARELY = {"BACKUP_QUIET_SECONDS": "600", "BACKUP_MAX_AGE_SECONDS": "600", "HANDOVER_IDLE_SECONDS": "0"}

Pull = Callable[..., CompletedProcess[str]]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Run instances that save only when they are told, or hand over."""
    with Fleet(tmp_path, **RARELY) as made:
        yield made


@pytest.fixture
def pull(fleet: Fleet, line: Wire, tmp_path: Path) -> Pull:
    """Give a function that pulls into the instances' bucket."""

    def run(*options: str) -> CompletedProcess[str]:
        ports = dict(zip(("QDRANT_HTTP_PORT", "QDRANT_GRPC_PORT"), map(str, free_ports(2)), strict=True))
        return fleet.command(
            "sync",
            "pull",
            *options,
            SOURCE_URL=line.url,
            QDRANT_STORAGE_DIR=str(tmp_path / "job" / "storage"),
            HANDOVER_TIMEOUT_SECONDS="1",
            **ports,
        )

    return run


def versions(instance: Instance) -> dict[int | str, int]:
    """Return each point's version, as an instance serves it."""
    return {identifier: point["payload"]["v"] for identifier, point in points_of(instance, "plain").items()}


def write(instance: Instance, number: int, version: int) -> None:
    """Write a point through an instance."""
    body = {"points": [plain_point(number, version)]}
    instance.result("PUT", "/collections/plain/points?wait=true", body)


def test_a_reader_follows_what_is_pulled(elsewhere: Engine, fleet: Fleet, pull: Pull) -> None:
    """It never writes, so no pull meets a conflict, and takes each one up while it runs."""
    make_plain(elsewhere, "plain", range(10))
    assert pull().returncode == 0
    reader = fleet.start(role="standby", INSTANCE_ROLE="reader")
    assert versions(reader)[3] == 0
    put(elsewhere, "plain", [plain_point(3, 1)])
    assert pull().returncode == 0

    def follows() -> bool:
        """Whether it serves the second state; its engine is started on it."""
        answer = reader.ask("POST", "/collections/plain/points", {"ids": [3], "with_payload": True})
        return answer.status_code == 200 and answer.json()["result"][0]["payload"]["v"] == 1

    eventually(follows, 60, "the reader serves what was pulled")
    assert reader.process.poll() is None


@pytest.mark.parametrize("has_backup", [True, False], ids=["after a backup", "before any"])
def test_what_only_the_journal_of_a_dead_instance_holds_is_a_conflict(
    elsewhere: Engine, line: Wire, fleet: Fleet, pull: Pull, *, has_backup: bool
) -> None:
    """Told before anything is brought, with --overwrite too, and by a dry run; the next instance has the write."""
    make_plain(elsewhere, "plain", range(10))
    if has_backup:
        assert pull().returncode == 0
    first = fleet.start()
    if not has_backup:
        first.result("PUT", "/collections/plain", {"vectors": {"size": 2, "distance": "Dot"}})
    write(first, 3, 7)
    first.kill()
    put(elsewhere, "plain", [plain_point(4, 1)])
    line.asked.clear()
    refused = pull("--overwrite")
    assert (refused.returncode, "the journal holds acknowledged writes" in refused.stderr) == (1, True), refused.stderr
    assert line.count("POST", "/snapshots") == 0
    planned = pull("--dry-run")
    assert (planned.returncode, "It would be refused: both sides have data" in planned.stdout) == (0, True)

    second = fleet.start()
    assert versions(second)[3] == 7


@pytest.mark.parametrize("lives", [True, False], ids=["lives", "dies"])
def test_what_an_instance_takes_during_a_pull_is_kept(
    elsewhere: Engine, line: Wire, fleet: Fleet, pull: Pull, *, lives: bool
) -> None:
    """Written while the snapshot is made: the pull commits nothing; who lives writes on, the next one has it else."""
    make_plain(elsewhere, "plain", range(10))
    assert pull().returncode == 0
    instance = fleet.start()
    put(elsewhere, "plain", [plain_point(4, 1)])

    def meanwhile(asked: Asked) -> None:
        """Write, and end."""
        if asked.is_("POST", "/snapshots"):
            write(instance, 3, 7)
            if not lives:
                instance.kill()

    line.plan = meanwhile
    ended = pull()
    told = (1, "was committed meanwhile") if lives else (5, "in the journal and in no backup yet")
    assert (ended.returncode, told[1] in ended.stderr) == (told[0], True), ended.stderr

    if lives:
        eventually(lambda: instance.ask("GET", "/collections").status_code == 200, 30, "the instance serves")
        write(instance, 5, 8)
        assert versions(instance)[5] == 8
    else:
        instance = fleet.start()
    assert versions(instance)[3] == 7
    assert versions(instance)[4] == 0
