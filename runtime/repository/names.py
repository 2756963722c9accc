"""The names of the objects in the bucket, all in one place.

A backup's id is `{epoch:08d}-{seq:010d}`: ids sort as the commits happened, whatever the clocks said.
"""

import datetime as dt
import re
from typing import Final

from runtime.contract import HEAD_OBJECT

HEAD: Final = HEAD_OBJECT
MANIFESTS: Final = "manifests/"
PACKS: Final = "packs/"
VERIFIED: Final = "verified/"
JOURNAL: Final = "journal/"
EXPORTS: Final = "exports/"

# Other alphabets' digits are digits to `\d` and `int`, and make names that nobody gave.
_ID = re.compile(r"\d{8}-\d{10}", re.ASCII)
_JOURNAL = re.compile(r"journal/(?P<epoch>\d{8})/(?P<n>\d{10})", re.ASCII)
_PACK = re.compile(r"packs/\d{4}/\d\d/\d\d/(?P<id>\d{8}-\d{10})-\d{4,}\.tar", re.ASCII)


def backup_id(epoch: int, seq: int) -> str:
    """Return the id of the backup that this epoch's writer commits as `seq`."""
    return f"{epoch:08d}-{seq:010d}"


def manifest(identifier: str) -> str:
    """Return the object name of a backup's manifest."""
    return f"{MANIFESTS}{identifier}.json"


def manifest_id(name: str) -> str | None:
    """Return the backup's id when `name` is a manifest's, else None."""
    identifier = name.removeprefix(MANIFESTS).removesuffix(".json")
    return identifier if name == manifest(identifier) and _ID.fullmatch(identifier) else None


def order(identifier: str) -> tuple[int, int]:
    """Return (epoch, seq), the only order there is."""
    epoch, seq = identifier.split("-")
    return int(epoch), int(seq)


def pack(epoch: int, seq: int, number: int, now: dt.datetime) -> str:
    """Return the object name of a backup's n-th pack. The day in it is for people; nothing orders by it."""
    return f"{PACKS}{now:%Y/%m/%d}/{backup_id(epoch, seq)}-{number:04d}.tar"


def journal_epoch(epoch: int) -> str:
    """Return the folder of an epoch's journal."""
    return f"{JOURNAL}{epoch:08d}/"


def journal(epoch: int, n: int) -> str:
    """Return the object name of an epoch's n-th journal object."""
    return f"{journal_epoch(epoch)}{n:010d}"


def journal_position(name: str) -> tuple[int, int] | None:
    """Return (epoch, n) when `name` is a journal object's, else None."""
    match = _JOURNAL.fullmatch(name)
    return (int(match["epoch"]), int(match["n"])) if match else None


def export(collection: str, made_at: dt.datetime) -> str:
    """Return the object name of a stock snapshot of a collection, as it was at that moment (UTC)."""
    at = made_at.astimezone(dt.UTC)
    return f"{EXPORTS}{at:%Y/%m/%d}/{collection}-{at:%Y-%m-%d-%H-%M-%S}.snapshot"


def pack_position(name: str) -> tuple[int, int] | None:
    """Return the (epoch, seq) that a pack was made for, None when the name is no pack's."""
    match = _PACK.fullmatch(name)
    return order(match["id"]) if match else None
