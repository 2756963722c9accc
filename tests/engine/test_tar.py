import io
import tarfile
from pathlib import Path

import pytest

from local.engine import tar

# Where GNU keeps the map of a sparse member in its header, and the real size behind it.
SPARSE_MAP = slice(386, 495)


def header(archive: bytes, name: str) -> bytes:
    """Answer the header block of a member."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return archive[opened.getmember(name).offset_data - 512 :][:512]


def test_hole_at_the_end_is_written_as_recorded(recorded: Path, tmp_path: Path) -> None:
    """A file of holes alone has the sparse map that the real server gave one of its size."""
    real = (recorded / "streams" / "empty-full.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(real)) as archive:
        (member,) = (part for part in archive if part.name.endswith("flags_a.dat"))
    hollow = tmp_path / "hollow"
    with hollow.open("wb") as file:
        file.truncate(member.size)
    ours = b"".join(tar.stream([tar.Member(member.name, path=hollow)]))
    assert header(ours, member.name)[SPARSE_MAP] == header(real, member.name)[SPARSE_MAP]


@pytest.mark.parametrize("islands", [1, 4, 5, 26, 60])
def test_data_between_holes_comes_back(tmp_path: Path, islands: int) -> None:
    """A file is read back whole, also when it has more pieces than a header or an extension holds."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        for number in range(islands):
            file.seek(number * 65536)
            file.write(bytes([number + 1]) * 4096)
        file.truncate(islands * 65536)
    name = "segments/" + "x" * 120
    archive = b"".join(tar.stream([tar.Member(name, path=source), tar.Member("after", content=b"end")]))
    assert len(archive) < islands * 4096 + 8192
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member, after = opened.extractfile(name), opened.extractfile("after")
        assert member is not None
        assert after is not None
        assert member.read() == source.read_bytes()
        assert after.read() == b"end"


def test_stream_is_never_empty_pieces(tmp_path: Path) -> None:
    """Every chunk holds something, or whoever reads until an empty one would stop early."""
    (tmp_path / "empty").touch()
    assert all(tar.stream([tar.Member("empty", path=tmp_path / "empty"), tar.Member("folder/")]))
