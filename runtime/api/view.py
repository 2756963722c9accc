"""What an instance says of itself: the facts behind /health, /status and the metrics, collected in one place.

Owns the shapes. Decides what is healthy; knows no HTTP.
"""

import asyncio
from typing import Any

from runtime.container import allowance, memory_used
from runtime.instance import Instance, Role
from runtime.settings import Settings


def health(instance: Instance, settings: Settings) -> tuple[bool, dict[str, Any]]:
    """Return whether the instance does its part, and the facts that say so.

    Healthy: it serves, takes writes, and what was acknowledged is saved as soon as it was promised.
    """
    age = unsaved_age(instance)
    target = settings.backup_max_age_seconds
    late = age is not None and age > 2 * target
    serving = instance.role in (Role.WRITER, Role.STANDBY) and instance.replica.engine.running
    failing = instance.recovery.journal is not None and instance.recovery.journal.failure is not None
    reachable = instance.store_error is None and (instance.lineage.is_writer or instance.standby.error is None)
    healthy = serving and not late and not failing and reachable
    restored = instance.restored
    facts: dict[str, Any] = {
        "status": "ok" if healthy else "unavailable" if not serving else "degraded",
        "role": str(instance.role),
        "instance": instance.name,
        "epoch": instance.lineage.epoch,
        "engine": {"version": instance.replica.engine.version, "running": instance.replica.engine.running},
        "fenced": instance.fenced,
        "lost_writes": instance.lost_writes,
        "backup": {
            "newest": instance.writing.base.name,
            "unsaved_writes": instance.writing.unsaved_count if instance.lineage.is_writer else 0,
            "unsaved_seconds": None if age is None else round(age, 1),
            "target_seconds": target,
            "failures": instance.writing.failures,
            "last_error": instance.writing.last_error,
        },
        "durability": "snapshot" if instance.recovery.journal is None else "journal",
        "journal": _journal(instance),
        "replay": _replay(instance),
        "following": _following(instance),
        "store": {"url": str(instance.lineage.repository), "error": instance.store_error},
        "writes": {
            "refusal": instance.gate.refusal,
            "refused": instance.gate.refused_count,
            "held": instance.gate.held_count,
            "unconfirmed": instance.lineage.unconfirmed_count,
        },
        "restore": None
        if restored is None
        else {
            "outcome": str(restored.start),
            "backup": restored.manifest,
            "damaged": list(restored.skipped),
            "points": restored.points,
            "files": restored.files,
            "bytes": restored.bytes,
            "milliseconds": round(restored.seconds * 1000),
            "forced": restored.forced,
        },
    }
    facts["memory"] = {"used": memory_used(), "limit": allowance().memory_bytes}
    return serving, facts


def startup(instance: Instance) -> dict[str, Any]:
    """Return how far the start is."""
    progress = instance.replica.progress
    return {
        "role": str(instance.role),
        "files": progress.files,
        "files_done": progress.files_done,
        "bytes": progress.bytes,
        "bytes_done": progress.bytes_done,
        "replay": _replay(instance),
    }


def _journal(instance: Instance) -> dict[str, Any] | None:
    """Return what the writer's journal is at; None where none is kept."""
    journal = instance.recovery.journal
    if journal is None:
        return None
    at, since = journal.reached, journal.failing_since
    return {
        "position": None if at is None else f"{at.epoch}/{at.n}",
        "objects": journal.objects,
        "records": journal.load.records,
        "bytes": journal.load.bytes,
        "waiting": journal.waiting,
        "failing_seconds": None if since is None else round(asyncio.get_running_loop().time() - since, 1),
        "error": None if journal.failure is None else str(journal.failure),
        "to_replay": instance.writing.to_replay.records,
        "to_replay_seconds": round(instance.writing.replay_seconds, 3),
    }


def _replay(instance: Instance) -> dict[str, Any] | None:
    """Return how far the replay at this instance's last take-over is, or went; None before there was one."""
    progress = instance.recovery.progress
    if progress is None:
        return None
    return {
        "records": progress.records,
        "records_done": progress.records_done,
        "bytes": progress.bytes,
        "position": None if progress.position is None else f"{progress.position.epoch}/{progress.position.n}",
        "seconds": round(progress.seconds, 3),
        "records_per_second": None if progress.rate is None else round(progress.rate, 1),
    }


def _following(instance: Instance) -> dict[str, Any] | None:
    """Return how an instance that does not write goes along with the writer's journal; None for any other."""
    if instance.role is not Role.STANDBY:
        return None
    at, lag = instance.replica.position, lag_seconds(instance)
    return {
        "position": None if at is None else f"{at.epoch}/{at.n}",
        "records": instance.follower.records,
        "lag_seconds": None if lag is None else round(lag, 1),
        "error": instance.standby.error,
    }


def lag_seconds(instance: Instance) -> float | None:
    """Return how long ago a follower's engine held all that the journal had; None before it ever did."""
    level_at = instance.follower.level_at
    return None if level_at is None else asyncio.get_running_loop().time() - level_at


def unsaved_age(instance: Instance) -> float | None:
    """Return how old the oldest unsaved write is, in seconds; None when all are saved."""
    since = instance.writing.schedule.unsaved_since
    if since is None or not instance.lineage.is_writer:
        return None
    return asyncio.get_running_loop().time() - since
