"""Which jobs a stack has, and what each needs.

Owns commands, sizes, times and words of the jobs; a pure function. `components.jobs` declares them,
`components.job_alerts` watches them.
"""

from components import sizing
from components.choices import JobPlan
from components.container import Container
from components.values import StackValues

# Every manifest is read, one after the other: a thousand backups of a hundred collections stay below it.
_PRUNE_MEMORY_MIB = 1024
_PRUNE_SECONDS = 3600


def job_plans(values: StackValues, container: Container) -> tuple[JobPlan, ...]:
    """Return the jobs: drill and prune always, if only to be run by hand; sync where there is a source."""
    last, hourly, daily, weekly = values.keep
    # A copy of the data is restored, or filled, by an engine of its own: as large as the instance that serves it.
    scratch = values.disk_mib or values.memory_mib - sizing.RESERVED_MIB
    drill = JobPlan(
        role="verify",
        title="Drill",
        command=container.DRILL_COMMAND,
        cron=values.drill_schedule,
        cpu=values.cpu,
        memory_mib=values.memory_mib,
        disk_mib=values.disk_mib,
        scratch_mib=scratch,
        timeout_seconds=sizing.drill_seconds(values.data_mib),
        # A backup that is damaged is not better the second time.
        retries=0,
        severity="CRITICAL",
        advice="The newest backup was not restored, or is not what it says. The job's log and `verified/` tell which.",
        variables={},
    )
    prune = JobPlan(
        role="prune",
        title="Prune",
        command=container.prune_command(last=last, hourly=hourly, daily=daily, weekly=weekly),
        cron=values.prune_schedule,
        cpu=1,
        memory_mib=_PRUNE_MEMORY_MIB,
        disk_mib=0,
        scratch_mib=0,
        timeout_seconds=_PRUNE_SECONDS,
        retries=1,
        severity="WARNING",
        advice="Backups that nothing keeps are still there and cost money; no data is at risk. See the job's log.",
        variables={},
    )
    if not values.sync_source:
        return drill, prune
    sync = JobPlan(
        role="sync",
        title="Sync",
        command=container.SYNC_COMMAND,
        cron=values.sync_schedule,
        cpu=values.cpu,
        memory_mib=values.memory_mib,
        disk_mib=values.disk_mib,
        scratch_mib=scratch,
        timeout_seconds=sizing.sync_seconds(values.data_mib),
        # It goes on where it was cut.
        retries=1,
        severity="ERROR",
        advice="The source was not pulled; the bucket still holds what was pulled before. See the job's log.",
        variables={container.SOURCE_URL: values.sync_source},
    )
    return drill, prune, sync
