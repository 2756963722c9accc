"""Any directory comes back as it was, and nothing that is not one is placed."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.errors import IntegrityError
from runtime.tree import download, upload, versions
from runtime.tree.entries import Tree, leads_out
from tests.support.model_store import ModelBucket, ModelStore
from tests.support.virtual_time import run
from tests.tree.disk import make, names, told

# What a file system takes: any bytes but two, not valid text only.
NAMES = (
    st.binary(min_size=1, max_size=20)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"-")))
    .filter(lambda name: name not in (".", ".."))
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TIMES = st.integers(0, 2**33 * 10**9)
TARGETS = st.lists(st.one_of(st.just(".."), st.just("."), st.just(""), NAMES), min_size=1, max_size=5).map("/".join)


@settings(max_examples=150)
@given(
    entries=st.dictionaries(PATHS, st.one_of(st.binary(max_size=2000), st.none(), TARGETS), max_size=12),
    data=st.data(),
)
def test_any_directory_comes_back_bit_for_bit(
    scratch: Path, entries: dict[str, bytes | str | None], data: st.DataObject
) -> None:
    """Names of any bytes, empty directories, links, modes to the second's last part: all are what they were."""
    folders = {"/".join(path.split("/")[:depth]) for path in entries for depth in range(1, path.count("/") + 1)}
    plan = {path: what for path, what in entries.items() if path not in folders or what is None}
    assume(not any(isinstance(what, str) and (leads_out(path, what) or not what) for path, what in plan.items()))
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = make(Path(folder, "in"), plan)
        for place in sorted(root.rglob("*"), reverse=True):
            if not place.is_symlink():
                place.chmod(data.draw(st.integers(0o700 if place.is_dir() else 0o400, 0o777), "mode") | 0o400)
            when = data.draw(TIMES, "time")
            os.utime(place, ns=(when, when), follow_symlinks=False)
        before = told(root)

        async def there_and_back() -> None:
            """Upload, download."""
            bucket = ModelBucket()
            sent = await upload.upload(ModelStore(bucket, list_page=3), root, after=None)
            found = await versions.read(ModelStore(bucket, list_page=3), None)
            assert found == sent.version
            await download.download(ModelStore(bucket), found.tree, Path(folder, "out"), replace=False)
            again = await upload.upload(ModelStore(bucket), Path(folder, "out"), after=None)
            assert (again.committed, again.files) == (False, 0)

        run(there_and_back())
        assert told(root) == before
        assert told(Path(folder, "out")) == before
        assert names(Path(folder)) == {"in", "out"}


@given(target=TARGETS, depth=st.integers(0, 3))
def test_a_link_that_is_kept_stays_inside(target: str, depth: int) -> None:
    """Resolved by the file system itself among other links, it never leads above the directory."""
    path = "/".join(["d"] * depth + ["link"])
    assume(not leads_out(path, target))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "a" / "root"
        make(root, {"/".join(["d"] * depth) or "d": None})
        # Others that lead as far up as they may.
        for level in range(depth + 1):
            os.symlink("/".join([".."] * level) or ".", root / "/".join(["d"] * level) / "up")  # noqa: PTH211
        os.symlink(target, root / path)  # noqa: PTH211
        assert (root / path).resolve().is_relative_to(root)


GOOD = Tree.of(
    {
        "directories": {".": {"mode": 0o755, "mtime_ns": 0}, "d": {"mode": 0o755, "mtime_ns": 0}},
        "files": {"d/f": {"mode": 0o644, "mtime_ns": 0, "size": 1, "sha256": "0" * 64}},
        "links": {"l": {"target": "d/f", "mtime_ns": 0}},
    }
)


@pytest.mark.parametrize(
    ("kind", "path", "entry"),
    [
        ("files", "../f", {}), ("files", "/etc/f", {}), ("files", "d/../f", {}), ("files", "d//f", {}),
        ("files", "nowhere/f", {}), ("files", "l/f", {}), ("files", "d/f/g", {}), ("files", "d", {}),
        ("files", "f\0", {}),
        ("files", "f", {"mode": 0o4755}), ("files", "f", {"sha256": "../../HEAD"}), ("files", "f", {"size": -1}),
        ("links", "k", {"target": "/etc"}), ("links", "k", {"target": ".."}), ("links", "k", {"target": "l/.."}),
        ("links", "d/k", {"target": "../.."}), ("directories", "l", {}), ("directories", "..", {}),
    ],
)  # fmt: skip
def test_a_version_that_leads_elsewhere_is_refused(kind: str, path: str, entry: dict[str, Any]) -> None:
    """Whoever wrote it: no path and no link of it is placed outside the target, or with more than permissions."""
    whole: dict[str, dict[str, Any]] = {
        "files": {"mode": 0o644, "mtime_ns": 0, "size": 1, "sha256": "0" * 64},
        "links": {"target": "d", "mtime_ns": 0},
        "directories": {"mode": 0o755, "mtime_ns": 0},
    }
    fields = GOOD.fields()
    assert Tree.of(fields) == GOOD
    fields[kind][path] = {**whole[kind], **entry}

    with pytest.raises(ValueError, match=r".+"):
        Tree.of(fields)


@given(data=st.data())
def test_a_version_with_any_byte_changed_is_refused_or_the_same(data: st.DataObject) -> None:
    """One wrong bit in a version's object is damage, never another tree."""

    async def damaged() -> None:
        """Commit, flip, read."""
        bucket = ModelBucket()
        committed = await versions.commit(ModelStore(bucket), GOOD, after=0)
        there = bucket.objects["versions/0000000001.json"]
        raw = bytearray(there.data)
        raw[data.draw(st.integers(0, len(raw) - 1), "at")] ^= 1 << data.draw(st.integers(0, 7), "bit")
        del bucket.objects["versions/0000000001.json"]
        bucket.put("other", "put", "versions/0000000001.json", bytes(raw), 0)
        try:
            assert await versions.read(ModelStore(bucket), 1) == committed
            assert json.loads(raw) == json.loads(there.data)
        except IntegrityError:
            pass

    run(damaged())
