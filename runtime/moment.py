"""A moment to go back to, anywhere in the journal: a time, or the write before which it is.

Owns how people name one, what belongs to it, and which backup is nearest. Replays nothing.
"""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from runtime.errors import ConfigError, IntegrityError, NothingThere
from runtime.journal.order import Entry
from runtime.logs import get_logger
from runtime.repository import names
from runtime.repository.committed import committed
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalPosition
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.selection import Choice
from runtime.settings import RestoreFallback

log = get_logger()

_WRITE: Final = re.compile(r"(\d{1,8})/(\d{1,10})/(\d{1,9})")
_READS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Moment:
    """Up to a time in milliseconds since 1970 (by the clocks of those who wrote), or before a record; else the end.

    `newest`: the number of the newest backup that is not beyond it, as far as can be told; None before that was looked
    up, and where there is none.
    """

    at: int | None = None
    before: tuple[JournalPosition, int] | None = None
    newest: int | None = None

    @classmethod
    def parse(cls, at: str | None, before: str | None) -> "Moment":
        """Read what a person typed. Raises ConfigError."""
        if at is not None and before is not None:
            raise ConfigError("--at and --before both name a moment", hint="Give one of them")
        if before is not None:
            match = _WRITE.fullmatch(before)
            if match is None:
                raise ConfigError(
                    f"{before!r} is no write: epoch/object/record, as `journal show` names it", hint="Say 3/17/0"
                )
            epoch, n, index = (int(number) for number in match.groups())
            return cls(before=(JournalPosition(epoch, n), index))
        return cls(at=None if at is None else _milliseconds(at))

    def __str__(self) -> str:
        if self.before is not None:
            position, index = self.before
            return f"before write {position.epoch}/{position.n}/{index}"
        return "the journal's end" if self.at is None else as_text(self.at)

    @property
    def newest_seq(self) -> int:
        """The number of the newest backup that is not beyond it."""
        return self.newest or 0

    @property
    def is_the_end(self) -> bool:
        """Whether everything belongs to it."""
        return self.at is None and self.before is None

    def holds(self, manifest: Manifest) -> bool:
        """Whether a backup is not beyond it."""
        if self.before is not None:
            return manifest.replay_from() < self.before[0]
        return self.at is None or dt.datetime.fromisoformat(manifest.created_at).timestamp() * 1000 <= self.at

    def is_before(self, position: JournalPosition) -> bool:
        """Whether a journal object is wholly beyond it, as its position tells."""
        return self.before is not None and (position, 0) >= self.before

    def is_beyond(self, entry: Entry) -> bool:
        """Whether a record is beyond it, and so all that follow."""
        if self.before is not None:
            return (entry.position, entry.index) >= self.before
        return self.at is not None and entry.record.at > self.at


def as_text(milliseconds: int) -> str:
    """Return a time as people and `parse` read it."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="milliseconds")


async def bases(
    repository: Repository, head: Head, moment: Moment, fallback: RestoreFallback
) -> AsyncIterator[tuple[Choice, Moment]]:
    """Yield what a moment may be reached from, the nearest backup first, and the moment with `newest` looked up.

    Ask for the next one when it turned out damaged: older ones replay more. The last is nothing at all, where the
    journal goes back to the lineage's beginning. Raises NothingThere, IntegrityError, StoreError.
    """
    chain = committed(await repository.manifest_names(), head)
    skipped: list[str] = []
    unread: int | None = None  # the newest one that cannot be read since the last one beyond the moment
    for start in range(0, len(chain), _READS_AT_ONCE):
        some = chain[start : start + _READS_AT_ONCE]
        read = await asyncio.gather(*(_read(repository, head, name) for name in some))
        for name, found in zip(some, read, strict=True):
            if isinstance(found, IntegrityError):
                if fallback == "refuse":
                    raise found
                log.error("restore.damaged", message=f"The manifest of a backup is damaged: {found}", manifest=name)
                skipped.append(name)
                unread = unread or names.order(names.manifest_id(name) or "")[1]
            elif moment.holds(found):
                moment = moment if moment.newest else replace(moment, newest=unread or found.seq)
                yield Choice(name, found, tuple(skipped)), moment
                skipped.append(name)
            else:
                unread = None
    moment = moment if moment.newest else replace(moment, newest=unread)
    async for _ in repository.journal_after(JournalPosition(1, -1)):
        yield Choice(None, None, tuple(skipped)), moment
        return
    if skipped:
        raise IntegrityError(
            f"none of the {len(skipped)} backups in {repository} that lead to {moment} is intact",
            hint="`verify --deep` says what is wrong with each; object versioning may hold older bytes",
        )
    if moment.is_the_end:
        raise NothingThere(f"No snapshot found to restore in {repository}", hint="Check BACKUP_URL")
    raise NothingThere(
        f"{moment} is before everything that {repository} can bring back",
        hint="`list` shows from when on any moment can be reached",
    )


async def _read(repository: Repository, head: Head, name: str) -> Manifest | IntegrityError:
    try:
        found = await repository.manifest(name, head.manifest_sha256 if name == head.manifest else None)
    except IntegrityError as error:
        return error
    return found if found.lineage == head.lineage else IntegrityError(f"{name} belongs to another lineage than HEAD")


def _milliseconds(text: str) -> int:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ConfigError(
            f"{text!r} is no time with a zone",
            hint="ISO 8601, as 2026-11-26T21:30:00Z or 2026-11-26T22:30:00.250+01:00",
        )
    return int(at.timestamp() * 1000)
