"""When the repository and an engine elsewhere were the same: `sync/{backup}-{n}.json`, created and never overwritten.

Owns these objects. A meeting says of which backup and which engine it was shown, and by which fingerprints the engine
is known again. The last one with an engine is what both sides are compared with to see who changed since.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from runtime.contract import SYNC_FOLDER
from runtime.errors import AlreadyExists, IntegrityError, ObjectMissing, StoreError
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.repository import HeadState, Repository
from runtime.sync.ledger import Entry

FORMAT = 1

_NAME = re.compile(rf"{SYNC_FOLDER}/(?P<id>\d{{8}}-\d{{10}})-(?P<n>\d+)\.json")
_MOST_TRIES = 16


@dataclass(frozen=True, slots=True)
class Same:
    """One collection that was the same at both ends.

    `fingerprint` is the engine's (None: it cannot be told again), `digest` that of the points where they were read,
    `essence` that of the configuration and the payload indexes.
    """

    points: int
    fingerprint: str | None
    digest: str | None
    essence: str
    by: str

    @classmethod
    def of(cls, entry: Entry, fingerprint: str | None) -> "Same":
        """Return what was shown of a collection; `fingerprint` is what the engine's is now."""
        # Known again only by what it was from before the last reading until now.
        known = entry.fingerprint if entry.fingerprint == fingerprint else None
        return cls(entry.points, known, entry.digest if entry.reading else None, entry.essence, entry.by)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A backup and an engine that held the same. `remote` is the engine's address."""

    remote: str
    backup: str
    direction: Literal["pull", "push"]
    collections: Mapping[str, Same]
    aliases: Mapping[str, str]


def backup_of(name: str) -> str | None:
    """Return the id of the backup that a meeting is about, None when the name is no meeting's."""
    match = _NAME.fullmatch(name)
    return match["id"] if match else None


async def keep(repository: Repository, meeting: Meeting) -> str:
    """Keep a meeting; return its object name. Raises StoreError."""
    data = json.dumps({"format": FORMAT, **asdict(meeting)}, indent=1, sort_keys=True).encode()
    taken = [_number(info.name) async for info in repository.objects(f"{SYNC_FOLDER}/{meeting.backup}-")]
    number = max(taken, default=0) + 1
    for number_tried in range(number, number + _MOST_TRIES):
        name = f"{SYNC_FOLDER}/{meeting.backup}-{number_tried}.json"
        try:
            await repository.store.write_new(name, data)
        except AlreadyExists:
            continue
        return name
    raise StoreError(f"{_MOST_TRIES} meetings of {meeting.backup} were written meanwhile", hint="Run it again")


async def last(repository: Repository, state: HeadState, remote: str) -> Meeting | None:
    """Return the newest meeting of a committed backup with an engine; one that cannot be read is none.

    Raises StoreError.
    """
    found = [info.name async for info in repository.objects(f"{SYNC_FOLDER}/") if backup_of(info.name)]
    if not found:
        return None
    reached = {names.manifest_id(name) for name in committed(await repository.manifest_names(), state.head)}
    for name in sorted(found, key=lambda name: (names.order(backup_of(name) or ""), _number(name)), reverse=True):
        if backup_of(name) in reached and (meeting := await _read(repository, name)) and meeting.remote == remote:
            return meeting
    return None


async def _read(repository: Repository, name: str) -> Meeting | None:
    try:
        data, _ = await repository.store.read(name)
        fields = json.loads(data)
        if fields.pop("format") != FORMAT:
            return None
        same = {collection: Same(**facts) for collection, facts in fields.pop("collections").items()}
        return Meeting(**fields, collections=same)
    except (ObjectMissing, IntegrityError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match["n"]) if match else 0
