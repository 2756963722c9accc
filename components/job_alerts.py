"""When a job is worth waking somebody for: it failed, or it has not done its work for too long.

Owns filters, queries and bounds; pure functions. `components.monitoring` turns them into alert policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.alerts import LogAlert, job_log
from components.choices import JobPlan
from components.cron import longest_pause_hours

_SLACK_HOURS: Final = 2
_EVER_HOURS: Final = 30 * 24


@dataclass(frozen=True)
class MissingAlert:
    """Raised when a query has an answer, asked every few minutes."""

    title: str
    severity: str
    query: str
    advice: str


def schedule_failed(job: str) -> str:
    """Return the filter of a call by the clock that failed."""
    return f'resource.type="cloud_scheduler_job" AND resource.labels.job_id="{job}" AND severity>=ERROR'


def failed(plan: JobPlan, job: str) -> LogAlert:
    """Return the alert on an attempt that failed, or that could not be started.

    Every line of severity ERROR counts: the job's own, and Cloud Run's about one that was killed or ran out of time.
    """
    own = f"({job_log(job)} AND severity>=ERROR)"
    return LogAlert(f"{plan.title} failed", plan.severity, f"{own} OR ({schedule_failed(job)})", plan.advice)


def missing(plan: JobPlan, job: str, region: str) -> Sequence[MissingAlert]:
    """Return the alert on a scheduled job that has not succeeded for longer than its schedule lets it pause.

    In PromQL: Cloud Monitoring's own absence conditions end at 23.5 hours. One that succeeded never yet is not
    missing, so that a new stack raises no alarm before its first night; where its first run fails, that is told.
    """
    if not plan.cron:
        return ()
    pause = longest_pause_hours(plan.cron) + _SLACK_HOURS + -(-plan.timeout_seconds // 3600)
    labels = f'monitored_resource="cloud_run_job",job_name="{job}",location="{region}",result="succeeded"'
    done = f"run_googleapis_com:job_completed_execution_count{{{labels}}}"
    query = f"(sum(increase({done}[{pause}h])) or vector(0)) < 1 and sum(increase({done}[{pause + _EVER_HOURS}h])) >= 1"
    advice = f"It has not succeeded for {pause} hours. Is its schedule paused? {plan.advice}"
    return (MissingAlert(f"{plan.title} missing", plan.severity, query, advice),)
