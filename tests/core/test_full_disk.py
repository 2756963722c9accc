"""A disk that cannot take a file says so, whatever store the file comes from."""

from pathlib import Path

import pytest

from runtime.errors import RuntimeFailure, StoreError
from runtime.repository.manifest import FileEntry
from runtime.run_sink import Progress, RunSink, Target, explained


def write_to_full() -> None:
    """Write to a disk that takes no byte."""
    with Path("/dev/full").open("wb", buffering=0) as full, explained(Path("/data/x")):
        full.write(b"12345")


def test_a_disk_that_is_full_is_told_with_the_file_and_what_to_do() -> None:
    """/dev/full takes no byte: the error names the file, says what to do, and is not the store's."""
    with pytest.raises(RuntimeFailure, match="/data/x cannot be placed: No space left") as failure:
        write_to_full()

    assert "give the instance more" in failure.value.hint
    assert not isinstance(failure.value, StoreError)


def test_a_place_that_cannot_be_written_is_told_with_the_file(tmp_path: Path) -> None:
    """A file where a folder has to be: the error names what could not be placed."""
    (tmp_path / "segments").write_text("in the way")
    entry = FileEntry("packs/p.tar", 0, 5, (), "0" * 64)

    with pytest.raises(RuntimeFailure, match="segments/s/x cannot be placed"):
        RunSink("packs/p.tar", [Target(tmp_path / "segments" / "s" / "x", entry)], Progress())
