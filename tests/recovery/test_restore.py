from tests.recovery.conftest import QUIET, History, put


def test_the_journals_tail_is_restored_by_default(history: History) -> None:
    """Everything acknowledged is there, though the last backup is older; nothing is sealed or claimed for it."""
    before = {path: path.stat().st_mtime_ns for path in history.bucket.rglob("*") if path.is_file()}

    assert history.restored() == history.latest
    assert {path: path.stat().st_mtime_ns for path in history.bucket.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in history.fleet.folder.iterdir() if path.name.startswith("engine-")) == [
        "engine-1"
    ]


def test_a_moment_between_two_writes_is_restored(history: History) -> None:
    """The state of then and no other: before the first backup, and after the first writer was killed."""
    for time, state in (history.states[2], history.states[-4]):
        assert history.restored("--at", time) == state, time


def test_a_backup_alone_is_restored_when_asked_for(history: History) -> None:
    """By its id, or the newest: without the journal, and without an engine."""
    newest = history.command("restore", str(history.fleet.folder / "a"), "--backup-only", QDRANT_BIN="/nowhere")
    assert newest["id"] == history.backups[1]
    assert newest["journal"] is None
    first = history.command(
        "restore", str(history.fleet.folder / "b"), "--id", history.backups[0], QDRANT_BIN="/nowhere"
    )
    assert first["points"] == 4
    code, said = history.refusal("restore", str(history.fleet.folder / "c"), "--backup-only", "--skip", "1/1/1")
    assert (code, "backup alone" in said) == (2, True)


def test_a_lost_newest_backup_loses_nothing(history: History) -> None:
    """The one before it and the journal come to the same."""
    (history.bucket / "manifests" / f"{history.backups[1]}.json").unlink()

    assert history.restored() == history.latest


def test_a_running_writer_goes_on_while_its_tail_is_restored(history: History) -> None:
    """What it has acknowledged is in the directory; it stays the writer."""
    writer = history.fleet.start(**QUIET)
    state = dict(history.latest)
    put(writer, state, p1="after")

    assert history.restored() == state
    put(writer, state, p2="later")
    assert writer.health()["role"] == "writer"
    assert writer.health()["journal"]["waiting"] == 0
    assert writer.terminate()[0] == 0
