"""What happens by the clock.

Owns the Cloud Scheduler jobs: the one that asks the instance for a backup, a floor under the continuous ones and what
wakes an instance that scaled to zero, and those that start Cloud Run jobs. Proves who it is by a token and
deliberately sends no key: the headers of a job are readable by everybody who may list jobs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import cloudscheduler

from components.choices import Place, Timetable

_FIRST_PAUSE: Final = "30s"
_LONGEST_PAUSE: Final = "300s"
# Starting a job is answered at once; how long the job itself may take is the job's.
_START_SECONDS: Final = 60
_CLOUD: Final = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, kw_only=True)
class SchedulesArgs:
    """When what is called, and as whom: the service by its URL, jobs by the address that starts them."""

    place: Place
    times: Timetable
    url: pulumi.Input[str]
    starts: Mapping[str, pulumi.Output[str]]
    caller: pulumi.Input[str]


class Schedules(pulumi.ComponentResource):
    """Calls the snapshot route and starts the jobs by the clock; what is off is not there."""

    def __init__(self, name: str, args: SchedulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:schedule:Schedules", name, None, opts)
        self._name, self._args = name, args
        for purpose, cron in args.times.crons.items():
            if purpose in args.starts:
                self._schedule(purpose, f"Starts the job {purpose}", cron, self._start(purpose), _START_SECONDS)
            else:
                patience = args.times.deadline_seconds
                self._schedule(purpose, "Asks Qdrant for a backup", cron, self._ask_for_backup(), patience)
        self.register_outputs({})

    def _ask_for_backup(self) -> cloudscheduler.JobHttpTargetArgs:
        args, url = self._args, pulumi.Output.from_input(self._args.url)
        return cloudscheduler.JobHttpTargetArgs(
            uri=url.apply(lambda base: f"{base}{args.place.container.SNAPSHOT_ROUTE}"),
            http_method="POST",
            # The service's URL, not the route's: that is the audience Cloud Run accepts.
            oidc_token=cloudscheduler.JobHttpTargetOidcTokenArgs(
                service_account_email=args.caller, audience=args.place.audience or url
            ),
        )

    def _start(self, role: str) -> cloudscheduler.JobHttpTargetArgs:
        return cloudscheduler.JobHttpTargetArgs(
            uri=self._args.starts[role],
            http_method="POST",
            # Google's own API takes an access token; an ID token is for a service of one's own.
            oauth_token=cloudscheduler.JobHttpTargetOauthTokenArgs(
                service_account_email=self._args.caller, scope=_CLOUD
            ),
        )

    def _schedule(
        self, purpose: str, says: str, cron: str, target: cloudscheduler.JobHttpTargetArgs, deadline_seconds: int
    ) -> None:
        place, times = self._args.place, self._args.times
        cloudscheduler.Job(
            f"{self._name}-{purpose}",
            name=place.names.job(purpose),
            project=place.project,
            region=times.region,
            description=says,
            schedule=cron,
            time_zone=times.time_zone,
            attempt_deadline=f"{deadline_seconds}s",
            retry_config=cloudscheduler.JobRetryConfigArgs(
                retry_count=times.retries,
                min_backoff_duration=_FIRST_PAUSE,
                max_backoff_duration=_LONGEST_PAUSE,
            ),
            http_target=target,
            opts=pulumi.ResourceOptions(parent=self),
        )
