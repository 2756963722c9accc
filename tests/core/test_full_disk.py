"""A disk that cannot take a file says so, whatever store the file comes from."""

from pathlib import Path

import pytest

from runtime.errors import RuntimeFailure, StoreError
from runtime.repository.manifest import FileEntry
from runtime.run_sink import Progress, RunSink, Target


def test_a_disk_that_is_full_is_told_with_the_file_and_what_to_do() -> None:
    """/dev/full takes no byte: the error names it, and is not the store's."""
    entry = FileEntry("packs/p.tar", 0, 5, (), "0" * 64)
    sink = RunSink.__new__(RunSink)
    sink._pack, sink._files, sink._progress = "packs/p.tar", iter(()), Progress()
    sink._target = Target(Path("/dev/full"), entry)
    sink._position, sink._offset, sink._length = 0, 0, 5

    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(RuntimeFailure, match="/dev/full") as failure:
        sink._descriptor = full.fileno()
        sink.write(b"12345")

    assert "give the instance more" in failure.value.hint
    assert not isinstance(failure.value, StoreError)


def test_a_place_that_cannot_be_written_is_told_with_the_file(tmp_path: Path) -> None:
    """A file where a folder has to be: the error names what could not be placed."""
    (tmp_path / "segments").write_text("in the way")
    entry = FileEntry("packs/p.tar", 0, 5, (), "0" * 64)

    with pytest.raises(RuntimeFailure, match="segments/s/x cannot be placed"):
        RunSink("packs/p.tar", [Target(tmp_path / "segments" / "s" / "x", entry)], Progress())
