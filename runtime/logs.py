"""Structured logs: one JSON object a line on standard output, as Cloud Logging reads them.

Owns the form (severity, message, event, facts as keys, stack_trace). Decides nothing about what is logged.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

# structlog imports rich where it is there, to colour a terminal that no instance has: a sixth of an instance's start.
_IS_NEW = "rich" not in sys.modules
if _IS_NEW:
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say "not installed"
import structlog  # noqa: E402

if _IS_NEW:
    del sys.modules["rich"]

# Cloud Logging's names: https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSeverity
_SEVERITIES = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "critical": "CRITICAL",
}


def _to_cloud_logging(_logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the keys as Cloud Logging does; a line without a message of its own repeats its event's name."""
    entry["severity"] = _SEVERITIES.get(method, "ERROR")
    entry.setdefault("message", entry["event"])
    if "exception" in entry:
        entry["stack_trace"] = entry.pop("exception")
    return entry


def _line(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> str:
    """Return the entry as JSON that any reader takes, whatever is in it: a line that cannot be written is lost."""
    try:
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False, default=str)
    except (ValueError, TypeError):
        # Not a number, infinite, a key that is no text, a circle: told as text.
        line = json.dumps({str(key): _plain(value) for key, value in entry.items()}, ensure_ascii=False)
    # A name that is no UTF-8 comes as lone surrogates, which have a form in JSON but none on the way out.
    return line.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> str | int | None:
    return value if isinstance(value, str | int | None) else str(value)


_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
    _to_cloud_logging,
    _line,
]


def configure(level: str) -> None:
    """Set up logging for the process. Lines from libraries are put into the same form."""
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_library_event, *_PROCESSORS]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def configure_for_command() -> None:
    """Set up logging for a command: its standard output is its answer, so warnings and worse go to standard error."""
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _library_event(_logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn a library's line into ours: its text is the message, its logger the event."""
    record: logging.LogRecord = entry.pop("_record")
    entry.pop("_from_structlog", None)
    entry["message"] = entry.pop("event")
    entry["event"] = f"library.{record.name}"
    return entry


def get_logger() -> Any:
    """Return the process's logger: `log.info("backup.committed", message=…, bytes=…)`."""
    return structlog.get_logger()
