"""What a manifest's JSON must look like before anything in it is believed.

Owns the form and the refusal of what would read outside a pack, write outside a shard or fit no file system: a
manifest may come from anybody's bucket. Knows nothing of what the fields are for.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from runtime.errors import StoreDenied
from runtime.repository.json_form import NULL, Form, typed
from runtime.repository.object_name import checked_name

_MANIFEST: Final[Form] = {
    "lineage": (str,),
    "epoch": (int,),
    "seq": (int,),
    "parent": (str, NULL),
    "created_at": (str,),
    "reason": (str,),
    "qdrant_version": (str,),
    "writer": (str,),
    "collections": (dict,),
    "aliases": (dict,),
    "packs": (dict,),
    "journal": (dict, NULL),
    "skipped": (list,),
}
_JOURNAL: Final[Form] = {"epoch": (int,), "n": (int,)}
_COLLECTION: Final[Form] = {"points": (int, NULL), "config": (dict,), "shards": (dict,)}
_SHARD: Final[Form] = {"segment_manifests": (dict,), "files": (dict,)}
_FILE: Final[Form] = {"pack": (str,), "offset": (int,), "size": (int,), "holes": (list,), "sha256": (str,)}
_PACK: Final[Form] = {"bytes": (int,), "crc32c": (str,), "sha256": (str,)}

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+(\..*)?)?")

# Linux's bounds of a name and of a path, less what the storage directory's own path needs of it.
_LONGEST_PART = 255
_LONGEST_PATH = 3500
_LARGEST_FILE = 2**40


def check(fields: Any) -> None:
    """Raise ValueError unless these are the fields of a manifest that can be restored."""
    typed(fields, _MANIFEST, "the manifest")
    if fields["epoch"] < 1 or fields["seq"] < 0:
        raise ValueError("its epoch or its number is none")
    if dt.datetime.fromisoformat(fields["created_at"]).tzinfo is None:
        raise ValueError("created_at has no time zone")
    if not _VERSION.fullmatch(fields["qdrant_version"]):
        raise ValueError("qdrant_version is no version")
    if fields["journal"] is not None:
        typed(fields["journal"], _JOURNAL, "its journal position")
        if not 1 <= fields["journal"]["epoch"] <= fields["epoch"] or fields["journal"]["n"] < -1:
            raise ValueError("its journal position is none")
    _texts(fields["skipped"])
    _texts(fields["aliases"].values())
    for name, pack in fields["packs"].items():
        _check_pack(name, pack)
    for name, collection in fields["collections"].items():
        _check_collection(name, collection, fields["packs"])


def _check_pack(name: str, pack: Any) -> None:
    typed(pack, _PACK, f"the pack {name!r}")
    if pack["bytes"] < 0 or not _SHA256.fullmatch(pack["sha256"]):
        raise ValueError(f"the pack {name!r} has a wrong size or hash")
    try:
        checked_name(name)
    except StoreDenied as error:
        raise ValueError(error.message) from error


def _check_collection(name: str, collection: Any, packs: Mapping[str, Any]) -> None:
    typed(collection, _COLLECTION, f"the collection {name!r}")
    if collection["points"] is not None and collection["points"] < 0:
        raise ValueError(f"the collection {name!r} has less than no points")
    _texts(collection["config"].values())
    own = [*collection["config"], *collection["shards"]]
    if any("/" in part or not _is_path(part) for part in (name, *own)) or len(set(own)) < len(own):
        raise ValueError(f"it holds a name that is no file's name, in collection {name!r}")
    for identifier, shard in collection["shards"].items():
        typed(shard, _SHARD, f"the shard {identifier} of {name!r}")
        files = shard["files"]
        for path, file in files.items():
            _check_file(path, file, packs)
        folders = {path[:end] for path in files for end, character in enumerate(path) if character == "/"}
        if not folders.isdisjoint(files):
            raise ValueError(f"a file of {name!r} is where another needs a directory")


def _check_file(path: str, file: Any, packs: Mapping[str, Any]) -> None:
    typed(file, _FILE, f"the file {path!r}")
    if not _is_path(path):
        raise ValueError(f"it places a file outside its shard: {path!r}")
    end = stored_less = 0
    for hole in file["holes"]:
        if type(hole) is not list or [type(number) for number in hole] != [int, int]:
            raise ValueError(f"the holes of {path!r} are none")
        start, length = hole
        if start < end or length <= 0:
            raise ValueError(f"the holes of {path!r} overlap")
        end = start + length
        stored_less += length
    pack = packs.get(file["pack"])
    last = file["offset"] + file["size"] - stored_less
    if pack is None or file["offset"] < 0 or last > pack["bytes"]:
        raise ValueError(f"the entry of {path!r} does not fit its pack")
    if not end <= file["size"] <= _LARGEST_FILE or not _SHA256.fullmatch(file["sha256"]):
        raise ValueError(f"the entry of {path!r} has a wrong size or hash")


def _is_path(path: str) -> bool:
    """Whether a file can be placed there, below where it belongs and under no second name."""
    try:
        parts = [part.encode("utf-8", "surrogateescape") for part in path.split("/")]
    except UnicodeEncodeError:
        return False
    return (
        all(part not in (b"", b".", b"..") and len(part) <= _LONGEST_PART for part in parts)
        and len(path) <= _LONGEST_PATH
        and "\0" not in path
    )


def _texts(values: Iterable[Any]) -> None:
    """Raise ValueError unless each is a text that can be written to a file."""
    for value in values:
        if type(value) is not str:
            raise ValueError(f"{value!r:.50} is no text")
        value.encode()
