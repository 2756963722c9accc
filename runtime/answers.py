"""What an instance answers, typed for applications.

Owns the shapes and their reading: an answer that is not of this project's form is an error, never a default.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from runtime.errors import RuntimeFailure

Answer: TypeAlias = Mapping[str, Any]
Role: TypeAlias = Literal["restoring", "writer", "standby", "draining"]


@dataclass(frozen=True, slots=True)
class Backup:
    """A committed backup, as it is listed. `bytes` is the size of its manifest."""

    id: str
    newest: bool
    manifest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BackupDetails:
    """What one backup holds: exact counts of points by collection, aliases by name, bytes that a restore places."""

    id: str
    parent: str | None
    lineage: str
    created_at: dt.datetime
    reason: str
    qdrant_version: str
    points: int
    collections: Mapping[str, int]
    aliases: Mapping[str, str]
    live_bytes: int


@dataclass(frozen=True, slots=True)
class Target:
    """What a save came to for one collection: `completed`, `failed` or `skipped` (nothing had changed)."""

    collection: str
    status: str
    points: int | None


@dataclass(frozen=True, slots=True)
class SaveResult:
    """What a save came to. `backup` is the newest committed one, made by it if `committed`."""

    backup: str | None
    committed: bool
    targets: tuple[Target, ...]
    streamed_bytes: int
    packed_bytes: int
    held_milliseconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What going back came to: the new newest backup, with the content of `to`; `newest_before` can be gone back to.

    `points` are by collection, before and after; None where there is no such collection.
    """

    backup: str
    to: str
    newest_before: str
    points: Mapping[str, tuple[int | None, int | None]]
    serving: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison of the newest backup with the bucket found: each damage as (object, problem)."""

    backup: str
    ok: bool
    damage: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What an instance says of itself. `unsaved_seconds`: the age of its oldest unsaved write, None without one.

    `newest_backup` is the newest that this instance committed or became the writer with, an object name.
    `store_error` and `backup_error` say why saving does not work, None while it does. `lost_writes` counts what it
    acknowledged and could not save before another instance took over. `forced`: it started without the clean end of
    the writer before it, whose last writes may be lost.
    """

    status: str
    role: Role
    instance: str
    newest_backup: str | None
    unsaved_writes: int
    unsaved_seconds: float | None
    store_error: str | None
    backup_error: str | None
    fenced: bool
    lost_writes: int
    forced: bool

    @property
    def ok(self) -> bool:
        """Whether it serves, and saves as promised."""
        return self.status == "ok"


def backups(answer: Answer) -> tuple[Backup, ...]:
    """Read GET /api/backups. Raises RuntimeFailure, as do all here, when it is not of the form."""
    with _of_the_form():
        return tuple(Backup(one["id"], one["newest"], one["manifest"], one["bytes"]) for one in answer["backups"])


def details(answer: Answer) -> BackupDetails:
    """Read GET /api/backups/{id}."""
    with _of_the_form():
        return BackupDetails(
            answer["id"],
            answer["parent"],
            answer["lineage"],
            dt.datetime.fromisoformat(answer["created_at"]),
            answer["reason"],
            answer["qdrant_version"],
            answer["points"],
            {name: entry["points"] for name, entry in answer["collections"].items()},
            dict(answer["aliases"]),
            answer["live_bytes"],
        )


def save_result(answer: Answer) -> SaveResult:
    """Read POST /api/snapshot."""
    with _of_the_form():
        return SaveResult(
            answer["backup"],
            answer["committed"],
            tuple(Target(one["collection"], one["status"], one.get("points")) for one in answer["targets"]),
            answer["streamed_bytes"],
            answer["packed_bytes"],
            answer["held_milliseconds"],
            answer["seconds"],
        )


def restore_result(answer: Answer) -> RestoreResult:
    """Read POST /api/backups/{id}/rollback."""
    with _of_the_form():
        points = {name: (both["now"], both["then"]) for name, both in answer["points"].items()}
        return RestoreResult(answer["backup"], answer["to"], answer["newest_before"], points, answer["serving"])


def verification(answer: Answer) -> Verification:
    """Read POST /api/verify."""
    with _of_the_form():
        damage = tuple((one["what"], one["problem"]) for one in answer["damage"])
        return Verification(answer["backup"], answer["ok"], damage)


def status(answer: Answer) -> Status:
    """Read GET /health."""
    with _of_the_form():
        backup = answer["backup"]
        return Status(
            answer["status"],
            answer["role"],
            answer["instance"],
            backup["newest"],
            backup["unsaved_writes"],
            backup["unsaved_seconds"],
            answer["store"]["error"],
            backup["last_error"],
            answer["fenced"],
            answer["lost_writes"],
            bool(answer["restore"] and answer["restore"]["forced"]),
        )


@contextlib.contextmanager
def _of_the_form() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RuntimeFailure(
            "the answer is not of the form that this version knows", hint="Is this address that of an instance?"
        ) from error
