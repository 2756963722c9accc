"""What is worth waking somebody for, as data.

Owns filters and thresholds; pure functions. `components.monitoring` turns them into alert policies. Events
are matched in the log itself instead of by a log-based metric: a policy over a metric that has no data yet
is refused, and on the first deployment none has.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_MEMORY_SHARE: Final = 0.8
_STARTUP_SHARE: Final = 0.8
_ERRORS_PER_SECOND: Final = 0.1


@dataclass(frozen=True)
class LogAlert:
    """Raised by a log line."""

    title: str
    severity: str
    filter: str
    advice: str


@dataclass(frozen=True)
class MetricAlert:
    """Raised by a metric beyond a bound for a while."""

    title: str
    severity: str
    filter: str
    comparison: str
    bound: float
    duration_seconds: int
    aligner: str
    reducer: str
    advice: str
    absence_counts: bool = False


def anchor(title: str) -> str:
    """Return the anchor of an alert's section in docs/runbooks.md, as GitHub and MkDocs both make it of its heading."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()))


def documentation(title: str, advice: str, docs_url: str) -> str:
    """Return what an alert tells: the advice, and where its runbook is (in this repository where no site is known)."""
    where = f"{docs_url.rstrip('/')}/runbooks/" if docs_url else "docs/runbooks.md"
    return f"{advice}\n\nWhat to do: {where}#{anchor(title)}"


def revision_log(*services: str) -> str:
    """Return the filter of what the containers of services log."""
    return f'resource.type="cloud_run_revision" AND resource.labels.service_name={_one_of(services)}'


def job_log(*jobs: str) -> str:
    """Return the filter of what jobs log, and of what Cloud Run logs about them."""
    return f'resource.type="cloud_run_job" AND resource.labels.job_name={_one_of(jobs)}'


def _one_of(names: Sequence[str]) -> str:
    quoted = [json.dumps(name) for name in names]
    return f"({' OR '.join(quoted)})" if quoted[1:] else quoted[0]


def log_alerts(services: Sequence[str], scheduled: str, events: Mapping[str, str]) -> Sequence[LogAlert]:
    """Return the alerts raised by events; events maps what happened to the name the container logs.

    `scheduled`: the filter of a scheduled backup that failed, empty where none is scheduled.
    """
    log = revision_log(*services)
    late = f"{log} AND {_any(events, 'backup_failed', 'journal_failing', 'store_failing', 'writes_unsaved')}"
    return (
        LogAlert(
            "Backup failed or too old",
            "CRITICAL",
            f"({late}) OR ({scheduled})" if scheduled else late,
            "Acknowledged writes are not in the bucket in the stated time, or the scheduled backup failed.",
        ),
        LogAlert(
            "Restore failed or fell back",
            "CRITICAL",
            f"{log} AND {_any(events, 'restore_damaged', 'start_failed', 'serve_failed', 'child_gave_up')}",
            "An instance did not start, gave up, or started from an older backup than the newest.",
        ),
        LogAlert(
            "Writer fenced",
            "ERROR",
            f"{log} AND {_any(events, 'writer_fenced')}",
            "An instance found that another one had taken over; what it had not saved is in its log.",
        ),
    )


def _any(events: Mapping[str, str], *happened: str) -> str:
    return f"jsonPayload.event=({' OR '.join(json.dumps(events[event]) for event in happened)})"


def metric_alerts(
    service: str, *, min_instances: int, max_instances: int, startup_seconds: int
) -> Sequence[MetricAlert]:
    """Return the alerts raised by Cloud Run's own metrics of a service: of the one instance that writes, or of many."""
    metric = f'{revision_log(service)} AND metric.type="run.googleapis.com'
    count = f'{metric}/container/instance_count"'
    alerts = [
        MetricAlert(
            "Memory nearly full",
            "ERROR",
            f'{metric}/container/memory/utilizations"',
            "COMPARISON_GT",
            _MEMORY_SHARE,
            300,
            "ALIGN_PERCENTILE_99",
            "REDUCE_MAX",
            "Above 80 %, and the container is killed at 100 %. Choose a larger size, a disk, or keep less data.",
        ),
        MetricAlert(
            "Server errors",
            "ERROR",
            f'{metric}/request_count" AND metric.labels.response_code_class="5xx"',
            "COMPARISON_GT",
            _ERRORS_PER_SECOND,
            300,
            "ALIGN_RATE",
            "REDUCE_SUM",
            "Requests end in 5xx. /health and the log tell whether writes are refused, and why.",
        ),
        MetricAlert(
            "Start near the probe's limit",
            "WARNING",
            f'{metric}/container/startup_latencies"',
            "COMPARISON_GT",
            startup_seconds * 1000 * _STARTUP_SHARE,
            0,
            "ALIGN_PERCENTILE_99",
            "REDUCE_MAX",
            "A start that exceeds startupSeconds is killed. More CPU or less data makes it shorter.",
        ),
    ]
    if max_instances == 1:
        alerts.append(
            MetricAlert(
                "More than one instance",
                "WARNING",
                count,
                "COMPARISON_GT",
                1,
                # Longer than a roll-out, during which two are right.
                900,
                "ALIGN_MAX",
                "REDUCE_SUM",
                "Only one instance writes; the other one answers writes with 503.",
            )
        )
    if min_instances:
        alerts.append(
            MetricAlert(
                "No instance",
                "CRITICAL",
                count,
                "COMPARISON_LT",
                1,
                300,
                "ALIGN_MAX",
                "REDUCE_SUM",
                "Nothing serves. The newest revision's log says why it does not start.",
                absence_counts=True,
            )
        )
    return tuple(alerts)
