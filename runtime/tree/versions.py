"""The versions of a directory in a store: which there are, which is the newest, and the commit of the next.

Owns the layout below the caller's prefix and what a version's object says:

    versions/{n:010d}.json     one version, whole: created last, by which it is committed
    contents/{sha256}          the bytes of a file, under their own hash

Nothing is ever overwritten or deleted. A version is its predecessor's number plus one and is created only where none
is, so of two uploads that started from the same version one is told; whoever may create and read objects can upload.
Deleting the newest versions by hand would let that be forgotten: delete old ones only, and contents never.
"""

import asyncio
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from runtime.contract import HEAD_OBJECT, REPOSITORY_FOLDERS
from runtime.errors import AlreadyExists, ConfigError, IntegrityError, NothingThere, ObjectMissing, WrittenMeanwhile
from runtime.repository.json_form import Form, parsed, typed
from runtime.repository.store import Store
from runtime.tree.entries import Tree

VERSIONS: Final = "versions/"
CONTENTS: Final = "contents/"
FORMAT: Final = 1

_NAME: Final = re.compile(r"versions/(\d{10})\.json")
_VERSION: Final[Form] = {
    "format": (int,),
    "version": (int,),
    "created_at": (str,),
    "tree": (dict,),
}
_READS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Version:
    """One committed version. `created_at` is the uploader's clock (UTC), for people: only the number orders."""

    number: int
    created_at: dt.datetime
    tree: Tree


def content_name(sha256: str) -> str:
    """Return the object name of a file's bytes."""
    return CONTENTS + sha256


async def numbers(store: Store) -> list[int]:
    """Return the versions' numbers, oldest first: one listing."""
    found = [match async for info in store.list(VERSIONS) if (match := _NAME.fullmatch(info.name))]
    return sorted(int(match[1]) for match in found)


async def read(store: Store, number: int | None) -> Version | None:
    """Return a version, or the newest; None when there is none to be the newest.

    Raises NothingThere (no such number), IntegrityError, StoreError.
    """
    if number is None:
        there = await numbers(store)
        if not there:
            return None
        number = there[-1]
    name = _name(number)
    try:
        data, _ = await store.read(name)
    except ObjectMissing:
        raise NothingThere(
            f"{store} holds no version {number}", hint="list_directories() shows those there are"
        ) from None
    return _decoded(data, f"{name} in {store}", number)


async def read_newest(store: Store, limit: int) -> list[Version]:
    """Return the newest versions, newest first."""
    at_once = asyncio.Semaphore(_READS_AT_ONCE)

    async def one(number: int) -> Version | None:
        async with at_once:
            return await read(store, number)

    found = await asyncio.gather(*(one(number) for number in reversed((await numbers(store))[-limit:])))
    return [version for version in found if version is not None]


async def commit(store: Store, tree: Tree, *, after: int) -> Version:
    """Make a tree, whose contents are in the store, the version after `after`.

    Raises WrittenMeanwhile when another was committed there, StoreError (then it may be committed).
    """
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    version = Version(after + 1, now, tree)
    data = _encoded(version)
    _decoded(data, "what was about to be committed", version.number)
    try:
        await store.write_new(_name(version.number), data)
    except AlreadyExists:
        raise WrittenMeanwhile(
            f"somebody else committed version {version.number} of {store} meanwhile; nothing of this upload is visible",
            hint="Look at theirs, then upload again: what has been sent is not sent again",
        ) from None
    return version


async def refuse_lineage(store: Store) -> None:
    """Raise ConfigError when Qdrant's backups live at this prefix."""
    try:
        await store.stat(HEAD_OBJECT)
    except ObjectMissing:
        return
    raise ConfigError(f"{store} holds Qdrant's backups", hint="Give the directory a prefix of its own")


def above_layout(parts: list[str]) -> list[list[str]]:
    """Return the places above a prefix of which it would be a part, if Qdrant's backups live there."""
    return [parts[:depth] for depth, part in enumerate(parts) if part in REPOSITORY_FOLDERS]


def _name(number: int) -> str:
    return f"{VERSIONS}{number:010d}.json"


def _encoded(version: Version) -> bytes:
    body = {
        "format": FORMAT,
        "version": version.number,
        "created_at": version.created_at.isoformat(),
        "tree": version.tree.fields(),
    }
    return (json.dumps({"sha256": _digest(body), "body": body}, sort_keys=True) + "\n").encode()


def _decoded(data: bytes, what: str, number: int) -> Version:
    try:
        body = _body(data)
        if body["version"] != number:
            raise ValueError(f"it is version {body['version']}")  # noqa: TRY301  one place tells all of them
        return Version(number, dt.datetime.fromisoformat(body["created_at"]), Tree.of(body["tree"]))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{what} is damaged: {error}", hint="Use another version") from error


def _body(data: bytes) -> dict[str, Any]:
    """Return what a version's object says, checked against its own hash. Raises ValueError."""
    outer = parsed(data)
    typed(outer, {"sha256": (str,), "body": (dict,)}, "it")
    body: dict[str, Any] = outer["body"]
    if _digest(body) != outer["sha256"]:
        raise ValueError("its hash differs")
    if body.get("format") != FORMAT:
        raise ValueError("its format is not one that this release knows")
    typed(body, _VERSION, "it")
    return body


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
