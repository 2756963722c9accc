"""A whole sync whose connection to the other side fails at each of its stages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.engines import Engine, running
from tests.support.wire import Asked, Fault, Wire
from tests.sync.conftest import (
    ENGINE,
    Command,
    alias,
    aliases,
    everything,
    make_plain,
    plain_point,
    put,
    statuses,
)

Is = Callable[[Asked], bool]

# The stages of a pull, in their order, by the request that each begins with.
PULL: dict[str, Is] = {
    "the version": lambda asked: asked.path == "/",
    "the survey": lambda asked: asked.path == "/telemetry",
    "the schema": lambda asked: asked.is_("GET", "/collections/plain"),
    "making a snapshot": lambda asked: asked.is_("POST", "/snapshots"),
    "the snapshot": lambda asked: asked.method == "GET" and ".snapshot" in asked.path,
    "deleting the snapshot": lambda asked: asked.method == "DELETE",
    "reading points": lambda asked: asked.path.endswith("/scroll"),
    "counting": lambda asked: asked.path.endswith("/count"),
    "the aliases": lambda asked: asked.path == "/aliases",
}
PUSH: dict[str, Is] = {
    "the survey": lambda asked: asked.path == "/telemetry",
    "making the collection": lambda asked: asked.is_("PUT", "/collections/plain"),
    "writing points": lambda asked: asked.is_("PUT", "/collections/plain/points"),
    "reading them": lambda asked: asked.path.endswith("/scroll"),
    "counting": lambda asked: asked.path.endswith("/count"),
    "the aliases": lambda asked: asked.is_("POST", "/collections/aliases"),
}


def cut_once_each(stages: dict[str, Is]) -> tuple[Callable[[Asked], Fault | None], set[str]]:
    """Return a plan that cuts the first answer of each stage, and the stages that it met."""
    met: set[str] = set()

    def plan(asked: Asked) -> Fault | None:
        for stage, begins in stages.items():
            if stage not in met and begins(asked):
                met.add(stage)
                return Fault(cut=10)
        return None

    return plan, met


def dead_from(begins: Is) -> Callable[[Asked], Fault | None]:
    """Return a plan in which nothing answers any more from a stage on."""
    is_dead = False

    def plan(asked: Asked) -> Fault | None:
        nonlocal is_dead
        is_dead = is_dead or begins(asked)
        return Fault(before=True) if is_dead else None

    return plan


@pytest.fixture
def full(elsewhere: Engine, line: Wire) -> Engine:
    """Give the engine on the other side, with a collection and an alias."""
    del line
    make_plain(elsewhere, "plain", range(150))
    alias(elsewhere, "current", "plain")
    return elsewhere


def restored_is(command: Command, folder: Path, engine: Engine) -> bool:
    """Whether the newest backup restores to what an engine holds."""
    assert command("restore", str(folder / "storage")).code == 0
    with running(ENGINE, folder) as other:
        return (everything(other), aliases(other)) == (everything(engine), aliases(engine))


def test_a_pull_outlasts_one_cut_at_every_stage(full: Engine, line: Wire, command: Command, tmp_path: Path) -> None:
    """Each stage's first answer breaks off, making the snapshot included: then points are copied, and all is there."""
    line.plan, met = cut_once_each(PULL)
    ran = command("sync", "pull", "--json")
    assert ran.code == 0, ran.err
    assert met == PULL.keys() - {"the snapshot", "deleting the snapshot"}
    assert statuses(ran) == {"plain": ("done", "copy")}
    assert "may have been left on the source" in ran.err
    assert restored_is(command, tmp_path / "restored", full)


def test_a_source_that_dies_at_any_stage_leaves_no_half_backup(
    full: Engine, line: Wire, command: Command, tmp_path: Path
) -> None:
    """Exit 1 and no backup, by snapshot or page by page; alive again it is brought, nothing of ours is left there."""
    before = full.result("GET", "/collections/plain/snapshots")  # they outlive a collection of that name
    for stage, begins in PULL.items():
        line.plan = dead_from(begins)
        if stage == "reading points":
            refused = dead_from(begins)
            line.plan = lambda asked, refused=refused: (  # type: ignore[misc]
                Fault(status=403) if asked.is_("POST", "/snapshots") else refused(asked)
            )
        ran = command("sync", "pull", "--json")
        assert ran.code == 1, (stage, ran.out)
        assert line.url in ran.out, stage
        assert command("list").code == 3, stage
    line.plan = lambda _: None
    ran = command("sync", "pull", "--json")
    assert ran.code == 0, ran.err
    assert restored_is(command, tmp_path / "restored", full)
    assert full.result("GET", "/collections/plain/snapshots") == before


def test_a_push_outlasts_one_cut_at_every_stage(full: Engine, line: Wire, command: Command) -> None:
    """Each stage's first answer breaks off: the target holds all of it in the end, once."""
    before = everything(full)
    assert command("sync", "pull").code == 0
    full.result("DELETE", "/collections/plain")
    line.plan, met = cut_once_each(PUSH)
    ran = command("sync", "push", "--overwrite", "--json")
    assert ran.code == 0, ran.err
    assert met == PUSH.keys()
    assert (everything(full), aliases(full)) == (before, {"current": "plain"})


def test_a_target_that_dies_at_any_stage_is_gone_on_with(full: Engine, line: Wire, command: Command) -> None:
    """Exit 1, never a note that both are the same; alive again, what is half there is known as the push's own."""
    before = everything(full)
    assert command("sync", "pull").code == 0
    full.result("DELETE", "/collections/plain")
    for stage, begins in PUSH.items():
        line.plan = dead_from(begins)
        ran = command("sync", "push", "--overwrite", "--json")
        assert ran.code == 1, (stage, ran.out)
        assert line.url in ran.out, stage
    line.plan = lambda _: None
    ran = command("sync", "push", "--json")
    assert ran.code == 0, ran.err
    assert (everything(full), aliases(full)) == (before, {"current": "plain"})
    assert command("sync", "push").code == 3


def test_a_source_that_is_written_to_while_its_snapshot_travels_is_pulled_as_it_was(
    full: Engine, line: Wire, command: Command, tmp_path: Path
) -> None:
    """The backup is the snapshot's moment, whole; the next pull knows that the source has changed since."""

    def write(asked: Asked) -> None:
        """Write a point, once the snapshot is on its way."""
        if asked.method == "GET" and ".snapshot" in asked.path:
            put(full, "plain", [plain_point(3, 9)])

    before = everything(full)
    line.plan = write
    ran = command("sync", "pull", "--json")
    assert (ran.code, statuses(ran)) == (0, {"plain": ("done", "snapshot")})
    assert command("restore", str(tmp_path / "restored" / "storage")).code == 0
    with running(ENGINE, tmp_path / "restored") as other:
        assert everything(other) == before
    line.plan = lambda _: None
    again = command("sync", "pull", "--json")
    assert (again.code, again.json["collections"][0]["why"]) == (0, "it changed")
    assert restored_is(command, tmp_path / "again", full)
