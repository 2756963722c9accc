"""What is said of the disk is what was on it."""

import os
from pathlib import Path

from bench import disk
from bench.waiting import until

SIZE = 1_000_000


def test_what_was_there_only_for_a_while_is_in_the_peak(tmp_path: Path) -> None:
    """A temporary file takes disk, even if nothing is left of it."""
    with disk.peak_of(tmp_path) as seen:
        (tmp_path / "folder").mkdir()
        file = tmp_path / "folder" / "temporary"
        file.write_bytes(os.urandom(SIZE))
        until(lambda: seen.peak >= SIZE)
        file.unlink()
    assert seen.before == seen.after == 0
    assert seen.peak >= SIZE


def test_a_file_of_two_names_counts_once_and_a_hole_not_at_all(tmp_path: Path) -> None:
    """Disk is what blocks take, whatever the names and the apparent size."""
    file = tmp_path / "one"
    file.write_bytes(os.urandom(SIZE))
    os.sync()
    alone = disk.size_of(tmp_path)
    (tmp_path / "two").hardlink_to(file)
    with (tmp_path / "hole").open("wb") as empty:
        empty.truncate(100 * SIZE)
    assert SIZE <= disk.size_of(tmp_path) == alone < 2 * SIZE
