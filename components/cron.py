"""Whether a schedule is one that Cloud Scheduler accepts.

Owns the unix-cron form (five fields), the longest pause that one may make, and time zones. Computes no dates.
"""

import re
import zoneinfo
from typing import Final

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: Final[tuple[tuple[str, int, int, list[str], int], ...]] = (
    ("minute", 0, 59, [], 0),
    ("hour", 0, 23, [], 0),
    ("day of the month", 1, 31, [], 0),
    ("month", 1, 12, _MONTHS, 1),
    ("day of the week", 0, 7, _DAYS, 0),
)


def cron_fault(expression: str) -> str | None:
    """Return what is wrong with a cron expression, None where nothing is."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"a cron expression has five fields (minute hour day month weekday), this has {len(fields)}"
    for text, (title, low, high, names, offset) in zip(fields, _FIELDS, strict=True):
        for part in text.lower().split(","):
            if not _valid_part(part, low, high, {name: i + offset for i, name in enumerate(names)}):
                return f"the {title} field {text!r} is not within {low}-{high}"
    return None


def _valid_part(part: str, low: int, high: int, names: dict[str, int]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and 1 <= int(step[:4]) <= high + 1):
        return False
    if span == "*":
        return True
    match = re.fullmatch(r"(\w+)(?:-(\w+))?", span, re.ASCII)
    if match is None or (slash and match[2] is None):
        return False
    ends = [names.get(end, int(end) if re.fullmatch(r"\d{1,2}", end) else -1) for end in match.groups() if end]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def longest_pause_hours(expression: str) -> int:
    """Return a bound on the hours between two runs of an accepted expression: a day, a week, a month or a year."""
    _, _, day, month, weekday = expression.split()
    for field, days in ((month, 366), (day, 31), (weekday, 7)):
        if field != "*":
            return days * 24
    return 24


def zone_fault(name: str) -> str | None:
    """Return what is wrong with a time zone, None where nothing is."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return "the time zone database does not have it"
    return None
