"""Files that come in several ranges at once."""

import asyncio
import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import IntegrityError
from runtime.large_file import PIECE_BYTES
from tests.support import placing, tars

SIZE = 2 * PIECE_BYTES + 12_345
CONTENT = random.Random(1).randbytes(SIZE)
FILES = {"segments/s/matrix": tars.whole(CONTENT), "segments/s/small": tars.whole(b"small")}


def test_a_large_file_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    """It is fetched in ranges that cover it, each once, and is what was stored; the small one beside it too."""
    bucket, manifest = placing.stored(FILES)
    progress, store = asyncio.run(placing.place(bucket, manifest, tmp_path, sizes=[700_001]))
    assert placing.tree(tmp_path) == placing.expected(FILES)
    assert (progress.files_done, progress.bytes_done) == (2, SIZE + 5)
    assert sorted(length for _, _, length in store.delivered) == [5, 12_345, PIECE_BYTES, PIECE_BYTES]


@pytest.mark.parametrize("at", [0, PIECE_BYTES, SIZE - 1])
def test_one_wrong_byte_in_any_piece_is_found(tmp_path: Path, at: int) -> None:
    """A flipped bit in the first, a middle or the last piece refuses the backup."""
    spoiled = bytearray(CONTENT)
    spoiled[at] ^= 1
    bucket, manifest = placing.stored({"segments/s/matrix": tars.whole(bytes(spoiled))})
    shard = manifest.collections["things"].shards["0"]
    entry = replace(shard.files["segments/s/matrix"], sha256=hashlib.sha256(CONTENT).hexdigest())
    collection = replace(
        manifest.collections["things"], shards={"0": replace(shard, files={"segments/s/matrix": entry})}
    )
    with pytest.raises(IntegrityError, match="matrix"):
        asyncio.run(placing.place(bucket, replace(manifest, collections={"things": collection}), tmp_path))


def test_a_pack_cut_inside_a_large_file_is_refused(tmp_path: Path) -> None:
    """A pack that ends before the file does is no backup."""
    bucket, manifest = placing.stored(FILES)
    cut = type(bucket)()
    cut.put("test", "upload", placing.PACK, placing.packed(FILES)[1][: SIZE // 2], 0)
    with pytest.raises(IntegrityError):
        asyncio.run(placing.place(cut, manifest, tmp_path))
