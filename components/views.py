"""A stack's values, grouped as its parts ask for them.

Owns which value goes to which part, and what follows from values without a choice. Reads and checks nothing.
"""

from dataclasses import replace
from pathlib import Path

from components import regions
from components.batch import job_plans
from components.choices import ImageSource, JobPlan, Keeping, Key, Place, Serving, Timetable, Told, Watch
from components.container import Container
from components.naming import Names
from components.values import StackValues


class StackViews(StackValues):
    """What each part of a stack is handed."""

    @property
    def names(self) -> Names:
        """Names of everything the stack makes."""
        return Names(base=self.name, project=self.project)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that can carry them."""
        return {"app": "qdrant", "environment": self.environment, "stack": self.name, "managed-by": "pulumi"}

    def place(self, container: Container) -> Place:
        """Return where the stack is made, for a container."""
        return Place(
            container=container,
            project=self.project,
            region=self.region,
            names=self.names,
            labels=self.labels,
            protected=self.protected,
            audience=self.audience,
        )

    @property
    def audience(self) -> str:
        """What tokens are made for that Cloud Run does not check: a public service cannot be told its URL ahead."""
        return f"https://{self.names.service}.{self.project}" if self.public else ""

    @property
    def serving(self) -> Serving:
        """How its instance serves."""
        return Serving(
            cpu=self.cpu,
            memory_mib=self.memory_mib,
            disk_mib=self.disk_mib,
            min_instances=self.min_instances,
            startup_seconds=self.startup_seconds,
            request_timeout_seconds=self.request_timeout_seconds,
            local_ports=(self.local_port, self.local_agent_port),
            public=self.public,
            invokers=self.invokers,
            ingress=self.ingress,
            vpc_network=self.vpc_network,
            vpc_subnet=self.vpc_subnet,
            vpc_egress=self.vpc_egress,
        )

    @property
    def reading(self) -> Serving | None:
        """How its readers serve; None where there are none."""
        if not self.readers:
            return None
        return replace(
            self.serving,
            cpu=self.reader_cpu,
            memory_mib=self.reader_memory_mib,
            min_instances=self.min_readers,
            max_instances=self.readers,
            invokers=(*self.invokers, *self.reader_invokers),
        )

    @property
    def told(self) -> Told:
        """What its container is told."""
        return Told(
            backup_url=f"gs://{self.names.bucket}/{self.backup_prefix}",
            project=self.project,
            collections=",".join(self.collections),
            caller_audiences=self.audience,
            service_access="public" if self.public or self.environment == "local" else "private",
            durability=self.durability,
            restore_policy=self.restore_policy,
            backup_max_age_seconds=str(self.backup_max_age_seconds),
            runtime_environment="production" if self.environment == "prod" else "development",
            log_level=self.log_level.upper(),
        )

    @property
    def source(self) -> ImageSource:
        """What its image is, or what it is built from."""
        build_args = {"QDRANT_IMAGE": self.qdrant_image, "BASE_IMAGE": self.base_image}
        return ImageSource(
            given=self.image,
            root=Path(__file__).resolve().parent.parent,
            dockerfile="Dockerfile.qdrant",
            files=("runtime", "requirements/runtime.txt"),
            build_args={name: value for name, value in build_args.items() if value},
        )

    @property
    def keeping(self) -> Keeping:
        """How its bucket keeps objects."""
        home = regions.continent(self.region) if self.second_region else None
        return Keeping(
            prefix=self.backup_prefix,
            pair=(self.second_region, home) if home else None,
            old_version_days=self.old_version_days,
            soft_delete_days=self.soft_delete_days,
            kms_key=self.kms_key,
        )

    @property
    def times(self) -> Timetable:
        """What happens when."""
        crons = {
            "snapshot": self.snapshot_schedule,
            "verify": self.drill_schedule,
            "prune": self.prune_schedule,
            "sync": self.sync_schedule if self.sync_source else "",
        }
        return Timetable(
            region=self.scheduler_region,
            crons={purpose: cron for purpose, cron in crons.items() if cron},
            time_zone=self.time_zone,
            deadline_seconds=self.snapshot_deadline_seconds,
            retries=self.snapshot_retries,
        )

    def jobs(self, container: Container) -> tuple[JobPlan, ...]:
        """Return what it does beside serving, for a container."""
        return job_plans(self, container)

    @property
    def watch(self) -> Watch:
        """Who is told; a check from outside must reach the service, and would keep one at zero awake."""
        uptime = self.monitoring and self.ingress == "all" and self.min_instances > 0
        return Watch(
            emails=self.alert_emails,
            docs_url=self.docs_url,
            uptime=uptime,
            snapshots=bool(self.snapshot_schedule),
            reading=self.reading,
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """Accounts that only some stacks have."""
        wanted = {"sync": self.sync_source, "reader": self.readers}
        return tuple(role for role, value in wanted.items() if value)

    def keys(self, container: Container) -> tuple[Key, ...]:
        """Return the keys that its parts are given."""
        serve = ("runtime", "reader") if self.readers else ("runtime",)
        own = (
            Key(variable=container.QDRANT_API_KEY, given=self.api_key, roles=serve),
            Key(variable=container.QDRANT_READ_ONLY_API_KEY, given=self.reader_key, roles=serve),
        )
        source = Key(variable=container.SOURCE_API_KEY, given=self.sync_source_key, roles=("sync",))
        return (*(own if self.api_keys else ()), *((source,) if self.sync_source_key else ()))

    @property
    def extra_apis(self) -> tuple[str, ...]:
        """APIs that only some stacks need."""
        wanted = {"cloudkms": self.kms_key, "compute": self.vpc_network}
        extra = [api for api, value in wanted.items() if value]
        return (*extra, "logging", "monitoring") if self.monitoring else tuple(extra)
