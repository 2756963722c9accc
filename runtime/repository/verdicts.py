"""What deep verifications found, kept beside the backups: `verified/{manifest id}-{n}.json`.

Owns these objects' form and names. They are created and never overwritten: a later verdict has a higher number.
"""

import json
import re
from collections.abc import Iterable, Mapping

from runtime.errors import AlreadyExists, IntegrityError, ObjectMissing, StoreError
from runtime.repository import names
from runtime.repository.repository import Repository

FORMAT = 1

_NAME = re.compile(r"verified/(?P<id>\d{8}-\d{10})-(?P<n>\d+)\.json")
# Verifications of one backup that run side by side take the next number each.
_MOST_TRIES = 16


def backup_of(name: str) -> str | None:
    """Return the id of the backup that a verdict is about, None when the name is no verdict's."""
    match = _NAME.fullmatch(name)
    return match["id"] if match else None


async def keep(repository: Repository, identifier: str, verdict: Mapping[str, object]) -> str:
    """Keep a verdict; return its object name. Raises StoreError."""
    taken = [_number(info.name) async for info in repository.objects(f"{names.VERIFIED}{identifier}-")]
    number = max(taken, default=0) + 1
    data = json.dumps({"format": FORMAT, **verdict}, indent=1, sort_keys=True).encode()
    for number_tried in range(number, number + _MOST_TRIES):
        name = f"{names.VERIFIED}{identifier}-{number_tried}.json"
        try:
            await repository.store.write_new(name, data)
        except AlreadyExists:
            continue
        return name
    raise StoreError(f"{_MOST_TRIES} verdicts on {identifier} were written meanwhile", hint="Verify it again")


async def good(repository: Repository, verdicts: Iterable[str], identifier: str) -> bool:
    """Whether the last verdict on a backup is that it is good; one that cannot be read is none."""
    about = sorted((name for name in verdicts if backup_of(name) == identifier), key=_number)
    for name in reversed(about):
        try:
            data, _ = await repository.store.read(name)
            return bool(json.loads(data)["ok"])
        except (ObjectMissing, IntegrityError, ValueError, KeyError, TypeError):
            continue
    return False


def _number(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match["n"]) if match else 0
