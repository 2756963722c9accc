"""The scheduled backup.

Owns the Cloud Scheduler job that asks the instance for a backup: a floor under the continuous ones, and what
wakes an instance that scaled to zero. Proves who it is by an OIDC token and deliberately sends no key: the
headers of a job are readable by everybody who may list jobs.
"""

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import cloudscheduler

from components.choices import Place, Timetable

_FIRST_PAUSE: Final = "30s"
_LONGEST_PAUSE: Final = "300s"


@dataclass(frozen=True, kw_only=True)
class SnapshotScheduleArgs:
    """When, whom to call, as whom, and how long to wait."""

    place: Place
    times: Timetable
    url: pulumi.Input[str]
    caller: pulumi.Input[str]


class SnapshotSchedule(pulumi.ComponentResource):
    """Calls the snapshot route by the clock."""

    def __init__(self, name: str, args: SnapshotScheduleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:schedule:SnapshotSchedule", name, None, opts)
        url = pulumi.Output.from_input(args.url)
        cloudscheduler.Job(
            f"{name}-job",
            name=args.place.names.snapshot_job,
            project=args.place.project,
            region=args.times.region,
            description="Asks Qdrant for a backup",
            schedule=args.times.cron,
            time_zone=args.times.time_zone,
            attempt_deadline=f"{args.times.deadline_seconds}s",
            retry_config=cloudscheduler.JobRetryConfigArgs(
                retry_count=args.times.retries,
                min_backoff_duration=_FIRST_PAUSE,
                max_backoff_duration=_LONGEST_PAUSE,
            ),
            http_target=cloudscheduler.JobHttpTargetArgs(
                uri=url.apply(lambda base: f"{base}{args.place.container.SNAPSHOT_ROUTE}"),
                http_method="POST",
                # The service's URL, not the route's: that is the audience Cloud Run accepts.
                oidc_token=cloudscheduler.JobHttpTargetOidcTokenArgs(
                    service_account_email=args.caller, audience=args.place.audience or url
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
