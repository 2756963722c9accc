import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from runtime.contract import SYNC_FOLDER
from runtime.errors import PreconditionFailed, RuntimeFailure
from runtime.prune import prune
from runtime.repository import names
from runtime.repository.directory import DirectoryStore
from runtime.repository.head import Head, Request
from runtime.repository.repository import Repository
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.commands.conftest import Command, Made

ONE = ("prune", "--keep-last", "1", "--keep-hourly", "0", "--keep-daily", "0", "--keep-weekly", "0", "--grace", "0")


def objects(made: Made, kind: str) -> set[str]:
    """Return the names of the objects of a kind."""
    return {str(path.relative_to(made.bucket)) for path in (made.bucket / kind).rglob("*") if path.is_file()}


def change_head(made: Made, change: Callable[[Head], Head]) -> None:
    """Change HEAD, as another process would."""
    path = made.bucket / "HEAD"
    path.write_bytes(change(Head.decode(path.read_bytes())).encode())


@pytest.mark.usefixtures("made")
def test_the_default_keeps_a_young_lineage_whole(command: Command) -> None:
    """Nothing to delete is no failure."""
    ran = command("prune", "--json")

    assert ran.code == 0
    assert ran.json["deleted"]["backups"] == []
    assert len(ran.json["kept"]) == 3


def test_what_stays_restores(made: Made, command: Command) -> None:
    """The older backups are gone, the packs that the newest needs are not."""
    before = objects(made, "packs")
    ran = command(*ONE, "--json")

    assert ran.code == 0
    assert objects(made, "manifests") == {f"manifests/{made.ids[2]}.json"}
    assert objects(made, "packs") < before
    assert objects(made, "packs") == before - set(ran.json["deleted"]["packs"])
    assert command("verify", "--deep").code == 0
    assert [backup["id"] for backup in command("list", "--json").json["backups"]] == [made.ids[2]]


def test_a_dry_run_tells_and_does_nothing(made: Made, command: Command) -> None:
    """It names the objects that would go, and why the others stay."""
    before = objects(made, ".")
    ran = command(*ONE, "--dry-run")

    assert ran.code == 0
    assert objects(made, ".") == before
    assert f"manifests/{made.ids[0]}.json" in ran.out
    assert "newest" in ran.out
    assert "Would delete 2 backups" in ran.out


def test_the_last_verified_backup_stays_with_its_verdict(made: Made, command: Command) -> None:
    """A verdict on a backup that goes, goes with it; a bad one protects nothing."""
    assert command("verify", "--deep", made.ids[1]).code == 0
    bad = made.bucket / "verified" / f"{made.ids[0]}-1.json"
    bad.write_text(json.dumps({"format": 1, "ok": False}))
    ran = command(*ONE, "--json")

    assert ran.json["deleted"]["backups"] == [f"manifests/{made.ids[0]}.json"]
    assert ran.json["kept"][f"manifests/{made.ids[1]}.json"] == ["verified"]
    assert objects(made, "verified") == {f"verified/{made.ids[1]}-1.json"}


def test_a_sync_s_note_goes_with_its_backup_and_not_before(made: Made, command: Command) -> None:
    """That of the newest backup stays, and that of one still to come; of one that never came it goes too."""
    epoch, seq = names.order(made.ids[2])
    kept = {made.ids[2], names.backup_id(epoch, seq + 1), names.backup_id(epoch + 1, seq + 1)}
    gone = {made.ids[0], made.ids[1], names.backup_id(epoch - 1, seq + 1)}
    folder = made.bucket / SYNC_FOLDER
    folder.mkdir()
    for name in (*(f"{identifier}-1.json" for identifier in kept | gone), "LEASE"):
        (folder / name).write_text("{}")
    told = command(*ONE, "--json", "--dry-run").json
    assert len(objects(made, SYNC_FOLDER)) == 7
    ran = command(*ONE, "--json")

    assert (ran.code, ran.json["deleted"]) == (0, told["deleted"])
    assert objects(made, SYNC_FOLDER) == {"sync/LEASE", *(f"sync/{identifier}-1.json" for identifier in kept)}


def test_a_later_bad_verdict_takes_the_protection_away(made: Made, command: Command) -> None:
    """The last word counts."""
    assert command("verify", "--deep", made.ids[1]).code == 0
    (made.bucket / "verified" / f"{made.ids[1]}-2.json").write_text(json.dumps({"format": 1, "ok": False}))

    assert len(command(*ONE, "--json").json["deleted"]["backups"]) == 2


def test_nothing_goes_while_an_instance_takes_over(made: Made, command: Command) -> None:
    """A request in HEAD means that somebody may be restoring."""
    change_head(made, lambda head: replace(head, requested_by=Request("newcomer", "start")))
    ran = command(*ONE)

    assert ran.code == 1
    assert "newcomer" in ran.err
    assert len(objects(made, "manifests")) == 3


def test_nothing_goes_without_head(made: Made, command: Command) -> None:
    """Without HEAD nobody knows which backup is the newest: exit 4 and `repair`; an empty bucket is exit 3."""
    (made.bucket / "HEAD").unlink()
    ran = command(*ONE)
    assert ran.code == 4
    assert "repair" in ran.err
    assert len(objects(made, "manifests")) == 3

    (made.bucket.parent / "empty").mkdir()
    assert command(*ONE, url=f"file://{made.bucket.parent}/empty").code == 3


def test_nothing_goes_while_the_newest_backup_is_damaged(made: Made, command: Command) -> None:
    """The older ones are what a start falls back to."""
    manifest = json.loads((made.bucket / "manifests" / f"{made.ids[2]}.json").read_text())
    (made.bucket / max(manifest["packs"])).unlink()
    ran = command(*ONE)

    assert ran.code == 4
    assert len(objects(made, "manifests")) == 3


def test_keeping_nothing_is_refused(made: Made, command: Command) -> None:
    """All zeros is exit 2."""
    ran = command("prune", "--keep-last", "0", "--keep-hourly", "0", "--keep-daily", "0", "--keep-weekly", "0")

    assert ran.code == 2
    assert len(objects(made, "manifests")) == 3


class Interrupted(DirectoryStore):
    """Does something else before an object of a kind is deleted."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)
    before = "packs/"

    async def delete(self, name: str, generation: int) -> None:
        """Delete, the other thing first."""
        if name.startswith(self.before):
            self.meanwhile()
        await super().delete(name, generation)


def prune_with(store: DirectoryStore) -> Awaitable[object]:
    """Keep the newest alone."""
    policy = Policy(1, 0, 0, 0, dt.timedelta())
    return prune(Repository(store), policy, Progress(), now=dt.datetime.now(dt.UTC), dry_run=False)


def interrupted(made: Made, before: str, meanwhile: Callable[[], object]) -> None:
    """Prune, and let something happen in the middle."""

    async def run() -> None:
        """Do it, and let go of the store."""
        store = Interrupted(made.bucket)
        store.before, store.meanwhile = before, meanwhile
        try:
            await prune_with(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_packs_stay_when_the_lineage_changes_hands_in_between(made: Made, command: Command) -> None:
    """A rollback that claimed before a backup was deleted may be about to commit what needs its packs."""
    before = objects(made, "packs")
    with pytest.raises(RuntimeFailure, match="changed hands"):
        interrupted(made, "manifests/", lambda: change_head(made, lambda head: replace(head, epoch=head.epoch + 1)))

    assert objects(made, "packs") == before
    assert command(*ONE).code == 0
    assert objects(made, "packs") < before


def test_a_writer_that_commits_meanwhile_is_no_hindrance(made: Made, command: Command) -> None:
    """Its packs are new, or stay for its parent's sake."""
    interrupted(made, "manifests/", lambda: change_head(made, lambda head: head))

    assert command("verify", "--deep").code == 0


def test_an_object_that_is_not_the_one_that_was_listed_stays(made: Made) -> None:
    """Each deletion names the generation it means."""
    older = f"manifests/{made.ids[0]}.json"

    def rewrite() -> None:
        """Put another object in its place."""
        path = made.bucket / older
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)

    with pytest.raises(PreconditionFailed):
        interrupted(made, older, rewrite)
    assert (made.bucket / older).exists()


def test_manifests_go_before_packs(made: Made, command: Command) -> None:
    """A crash at the first pack leaves packs that nobody names, and backups that are whole."""

    class Crash(BaseException):
        """The process ends here."""

    def crash() -> None:
        """End."""
        raise Crash

    with pytest.raises(Crash):
        interrupted(made, "packs/", crash)
    assert objects(made, "manifests") == {f"manifests/{made.ids[2]}.json"}
    assert command("verify", "--deep").code == 0
