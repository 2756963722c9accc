"""Which backup holds what a write without an answer may have done: the one that the journal says it before."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from runtime.backup import Busy
from tests.support.lineages import environment, workshop


class Unsettled:
    """A recorder that a write without an answer has left something to do."""

    is_unsettled = True


def test_no_other_backup_comes_before_the_one_that_settles(tmp_path: Path) -> None:
    """It would hold the write, and the journal would say of it that only a later one does."""

    async def story() -> None:
        """Write, without an answer; try to save as usual, then to settle it."""
        bucket, storage = tmp_path / "bucket", tmp_path / "storage"
        bucket.mkdir()
        async with workshop(environment(f"file://{bucket}", storage)) as work:
            await work.call("PUT", "/collections/books", {"vectors": {"size": 4, "distance": "Cosine"}})
            assert work.writing is not None
            work.gate.recorder = cast(Any, Unsettled())
            with pytest.raises(Busy):
                await work.save()
            assert not list(bucket.glob("manifests/*"))
            async with work.writing.alone() as settle:
                await settle()
            assert len(list(bucket.glob("manifests/*"))) == 1
            work.gate.recorder = None
            await work.points("books", range(3))
            assert await work.save() == "00000001-0000000002"

    asyncio.run(story())
