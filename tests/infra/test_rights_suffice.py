"""The rights that are declared, held against what the programs do: each runs on a bucket that grants just these."""

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runtime import contract
from tests.infra.iam import allowed
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import PROD
from tests.support.engines import running
from tests.support.instances import Fleet
from tests.support.jobs import Ended, run_job
from tests.support.lineages import environment, three_backups
from tests.support.strict_gcs import StrictGcs, strict_gcs
from tests.support.workload import make, numbers, put_numbers
from tests.sync.conftest import ENGINE, make_plain, plain_point, put

BUCKET = "acme-search-qdrant-prod-backups"
URL = f"gs://{BUCKET}/qdrant"


@pytest.fixture(scope="module")
def stack() -> Recorder:
    """Return a stack that keeps one backup."""
    keep_one = {"keepLast": "1", "keepHourly": "0", "keepDaily": "0", "keepWeekly": "0"}
    return deploy({**PROD, **keep_one}, stack="prod")


@pytest.fixture
def strict() -> Iterator[StrictGcs]:
    """Serve the stack's bucket, which grants everything at first."""
    with strict_gcs(bucket=BUCKET) as server:
        yield server


def hold_to(strict: StrictGcs, stack: Recorder, account: str) -> None:
    """From now on whoever asks is this account, and may do what the stack grants it."""
    strict.objects.permits = lambda verb, name: verb in allowed(stack, f"qdrant-prod-{account}@", name)


def run(strict: StrictGcs, stack: Recorder, folder: Path, role: str, **more: str) -> Ended:
    """Run a declared job as its account; `more`: what is somewhere else here than in the cloud."""
    task: dict[str, Any] = stack.named(f"jobs-{role}").inputs["template"]["template"]
    hold_to(strict, stack, role)
    settings = {env["name"]: env["value"] for env in task["containers"][0]["envs"] if "value" in env}
    # Production refuses the emulator that this is.
    emulated = {contract.STORAGE_EMULATOR_HOST: strict.url, contract.RUNTIME_ENVIRONMENT: "development"}
    return run_job(folder, {**settings, **emulated, **more}, *task["containers"][0]["args"])


@pytest.fixture
def three(strict: StrictGcs, tmp_path: Path) -> list[str]:
    """Make three backups in the bucket; return their ids."""
    return asyncio.run(three_backups(environment(URL, tmp_path / "storage", STORAGE_EMULATOR_HOST=strict.url)))


def test_the_drill_needs_no_more_than_it_is_granted(
    strict: StrictGcs, stack: Recorder, three: list[str], tmp_path: Path
) -> None:
    """Reading, and creating below verified/, is enough to restore, compare and record twice."""
    for number in (1, 2):
        ended = run(strict, stack, tmp_path / "job", "verify")
        assert ended.code == 0, ended.err
        record = strict.objects.stored[f"qdrant/verified/{three[-1]}-{number}.json"]
        assert json.loads(record.data)["ok"] is True


def test_pulling_needs_no_more_than_it_is_granted(strict: StrictGcs, stack: Recorder, tmp_path: Path) -> None:
    """Beginning a lineage, adding to it, finding nothing new: HEAD and the lease alone are replaced, nothing else."""
    with running(ENGINE, tmp_path / "source") as source:
        make_plain(source, "plain", range(10))
        made = []
        for number in range(3):
            if number == 1:
                put(source, "plain", [plain_point(3, 1)])
            ended = run(strict, stack, tmp_path / "job", "sync", SOURCE_URL=source.url)
            assert ended.code == 0, ended.err
            made.append({name: found.generation for name, found in strict.objects.stored.items()})
    replaced = {name for one, next_ in pairwise(made) for name in one if one[name] != next_.get(name)}
    assert replaced == {"qdrant/HEAD", "qdrant/sync/LEASE"}
    assert len([name for name in made[-1] if name.startswith("qdrant/manifests/")]) == 2


def test_pruning_needs_no_more_than_it_is_granted(
    strict: StrictGcs, stack: Recorder, three: list[str], tmp_path: Path
) -> None:
    """Reading, and deleting below the repository's folders, is enough; what is young stays, and so does HEAD."""
    before = dict(strict.objects.stored)
    ended = run(strict, stack, tmp_path / "job", "prune")
    assert ended.code == 0, ended.err
    assert strict.objects.stored == before  # all of it is younger than the grace

    hold_to(strict, stack, "prune")
    task = stack.named("jobs-prune").inputs["template"]["template"]["containers"][0]
    settings = {contract.BACKUP_URL: URL, contract.STORAGE_EMULATOR_HOST: strict.url}
    ended = run_job(tmp_path / "job", settings, *task["args"], "--grace=0")
    assert ended.code == 0, ended.err
    gone = before.keys() - strict.objects.stored.keys()
    assert {f"qdrant/manifests/{name}.json" for name in three[:-1]} <= gone
    assert "qdrant/HEAD" in strict.objects.stored
    assert run(strict, stack, tmp_path / "job", "verify").code == 0


def test_nobody_else_s_account_can_prune(strict: StrictGcs, stack: Recorder, three: list[str], tmp_path: Path) -> None:
    """Another account that runs the pruning command is denied, exit 6, and every object is still there."""
    settings = {contract.BACKUP_URL: URL, contract.STORAGE_EMULATOR_HOST: strict.url}
    task = stack.named("jobs-prune").inputs["template"]["template"]["containers"][0]
    before = dict(strict.objects.stored)
    for account in ("verify", "reader", "runtime", "sync"):
        hold_to(strict, stack, account)
        ended = run_job(tmp_path / account, settings, *task["args"], "--grace=0")

        assert ended.code == 6, account
        assert [line["event"] for line in ended.errors()] == ["job.failed"]
    assert strict.objects.stored == before
    assert len(three) == 3


def test_a_writer_and_its_readers_need_no_more_than_they_are_granted(
    strict: StrictGcs, stack: Recorder, tmp_path: Path
) -> None:
    """The writer's account claims, backs up and ends cleanly; a reader's restores and serves with reading alone."""
    hold_to(strict, stack, "runtime")
    with Fleet(tmp_path, BACKUP_URL=URL, STORAGE_EMULATOR_HOST=strict.url) as fleet:
        writer = fleet.start()
        make(writer, "c")
        put_numbers(writer, "c", range(1, 11))
        writer.save()
        put_numbers(writer, "c", range(11, 21))
        writer.save()
        assert writer.terminate()[0] == 0
        assert writer.events("shutdown.saved")
        hold_to(strict, stack, "reader")
        before = dict(strict.objects.stored)
        reader = fleet.start(role="standby", INSTANCE_ROLE="reader")
        assert numbers(reader, "c") == set(range(1, 21))
        refused = reader.ask("PUT", "/collections/c/points", {"points": [{"id": 99, "vector": [1, 1]}]})
        assert refused.status_code == 503
        assert reader.terminate()[0] == 0
    assert strict.objects.stored == before
