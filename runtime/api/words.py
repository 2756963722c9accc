"""Figures in words that people read: bytes, durations, the verdict of the status page.

Owns the wording of the page's figures and of its one sentence. Pure; the page and its tests use it.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is my data safe? `level` is good, wait or bad."""

    level: str
    title: str
    sentence: str


def size(count: float | None) -> str:
    """Return bytes in the unit that leaves one to three digits before the point."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Return a time span in one or two units."""
    if seconds is None:
        return "never"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and round(seconds, 1) != int(seconds):
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def ago(seconds: float | None) -> str:
    """Return how long ago something was, in whole units."""
    return "unknown" if seconds is None else duration(max(float(int(seconds)), 1.0))


def age(moment: str, now: dt.datetime) -> float | None:
    """Return the seconds since a moment that a manifest states; None when it states none."""
    try:
        then = dt.datetime.fromisoformat(moment)
    except ValueError:
        return None
    return max((now - (then if then.tzinfo else then.replace(tzinfo=dt.UTC))).total_seconds(), 0.0)


def verdict(health: Mapping[str, Any]) -> Verdict:
    """Return what /health comes to for a person who asks one question."""
    return _trouble(health) or _calm(health)


def _trouble(health: Mapping[str, Any]) -> Verdict | None:
    backup, unsaved = health["backup"], health["backup"]["unsaved_writes"]
    if health["restore"] and health["restore"]["damaged"]:
        return Verdict("bad", "An older backup was restored", "Newer backups were damaged and passed over: see below.")
    if health["lost_writes"]:
        lost = f"Another instance took over before {health['lost_writes']} acknowledged writes were saved."
        return Verdict("bad", "Writes were lost", lost)
    if health["store"]["error"]:
        return Verdict(
            "bad", "The bucket does not answer", f"{unsaved} writes are not saved. {health['store']['error']}"
        )
    if (journal := health["journal"]) and journal["error"]:
        failing = f"for {duration(journal['failing_seconds'])}" if journal["failing_seconds"] else "just now"
        return Verdict("bad", "Writes are refused", f"The bucket takes no journal, {failing}: {journal['error']}")
    if health["status"] == "degraded":
        return Verdict("bad", "Backups are late", backup["last_error"] or f"{unsaved} writes wait to be saved.")
    return None


def _calm(health: Mapping[str, Any]) -> Verdict:
    backup, role = health["backup"], health["role"]
    if role in ("restoring", "draining") or health["status"] != "ok":
        doing = role if role in ("restoring", "draining") else "starting its engine again"
        return Verdict(
            "wait", f"The instance is {doing}", "Nothing can be written now; what was saved is in the bucket."
        )
    if role == "standby":
        return Verdict("good", "Standing by", "Another instance writes and saves; this one answers reads.")
    if health["journal"]:
        return Verdict(
            "good", "Your data is safe", "Every acknowledged write is in the bucket: backed up, or in the journal."
        )
    if unsaved := backup["unsaved_writes"]:
        waiting = f"{unsaved} write{'s' if unsaved > 1 else ''}, the oldest {ago(backup['unsaved_seconds'])} old"
        sentence = f"{waiting}, will be in the bucket within {duration(backup['target_seconds'])}."
        return Verdict("wait", "Your data is being saved", sentence)
    return Verdict("good", "Your data is safe", "Every acknowledged write is in the bucket.")
