"""The request that a log line belongs to, for Cloud Logging to show them together.

Owns the reading of Google's trace header and the names of the keys. The id of a request is made or checked at the
edge, which sends it on as `X-Request-Id`.
"""

import re
from collections.abc import Mapping
from typing import Final

TRACE_KEY: Final = "logging.googleapis.com/trace"
SPAN_KEY: Final = "logging.googleapis.com/spanId"

_CLOUD_TRACE: Final = re.compile(r"(?P<trace>[0-9a-f]{32})(?:/(?P<span>\d{1,20}))?(?:;.*)?", re.ASCII)
_REQUEST: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)


def context(headers: Mapping[str, str], project: str | None) -> dict[str, str]:
    """Return what a request's headers add to each of its log lines; nothing that is not in the known form."""
    found: dict[str, str] = {}
    if _REQUEST.fullmatch(request := headers.get("X-Request-Id", "")):
        found["request_id"] = request
    match = _CLOUD_TRACE.fullmatch(headers.get("X-Cloud-Trace-Context", ""))
    if match and project:
        found[TRACE_KEY] = f"projects/{project}/traces/{match['trace']}"
        if match["span"] and int(match["span"]) < 1 << 64:
            found[SPAN_KEY] = f"{int(match['span']):016x}"
    return found
