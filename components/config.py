"""The configuration of a stack: read once, checked whole, frozen.

Owns the rules of single values; rules between values are in `components.consistency`, the keys and their
defaults in `components.options`. Nothing else in this program reads `pulumi.Config`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pulumi
from pulumi.runtime import config as engine_config
from pulumi.runtime import is_config_secret

from components import cron, options, regions, sizing
from components.choices import ImageSource, Keeping, Place, Serving, Timetable, Told, Watch
from components.consistency import check_together
from components.container import Container
from components.keys import PROJECT_NAME, own_keys, report_unknown
from components.naming import Names, base_from_stack
from components.problems import ConfigProblems, Findings
from components.reader import Reader


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """What a stack deploys; every field is checked, alone and against the others."""

    stack: str
    environment: str
    project: str
    region: str
    name: str
    protected: bool
    cpu: int
    memory_mib: int
    disk_mib: int
    data_mib: int
    min_instances: int
    startup_seconds: int
    request_timeout_seconds: int
    log_level: str
    public: bool
    invokers: tuple[str, ...]
    ingress: str
    api_keys: bool
    api_key: pulumi.Output[str] | None
    reader_key: pulumi.Output[str] | None
    key_rotation: int
    vpc_network: str
    vpc_subnet: str
    vpc_egress: str
    deployers: tuple[str, ...]
    image: str
    qdrant_image: str
    base_image: str
    backup_prefix: str
    collections: tuple[str, ...]
    backup_max_age_seconds: int
    restore_policy: str
    snapshot_schedule: str
    time_zone: str
    scheduler_region: str
    snapshot_deadline_seconds: int
    snapshot_retries: int
    second_region: str
    old_version_days: int
    soft_delete_days: int
    kms_key: str
    monitoring: bool
    alert_emails: tuple[str, ...]
    local_port: int
    local_agent_port: int

    @classmethod
    def load(cls) -> Self:
        """Read the running stack's configuration, or raise ConfigProblems with everything wrong in it."""
        values = {**engine_config.get_config_env(), **engine_config.CONFIG.get()}
        names = (option.name for option in options.every_option())
        secret = frozenset(name for name in names if is_config_secret(f"{PROJECT_NAME}:{name}"))
        return cls.parse(values, stack=pulumi.get_stack(), secret_keys=secret)

    @classmethod
    def parse(cls, values: Mapping[str, str], *, stack: str, secret_keys: frozenset[str]) -> Self:
        """Check raw values (`qdrant-cloud-run:KEY`, and `gcp:` for project and region) of a stack."""
        given, unknown = own_keys(values)
        findings = Findings(given, hidden=frozenset(o.name for o in options.every_option() if o.secret))
        for key, value in unknown.items():
            report_unknown(findings, key, value)
        read = Reader(findings)
        environment = read.choice("environment", ("dev", "prod", "local"), auto=stack)
        local, prod = environment == "local", environment == "prod"
        size = sizing.SIZES.get(read.choice("size", tuple(sizing.SIZES)), sizing.SIZES["small"])
        memory = read.quantity("memory", auto=size.memory_mib)
        disk = read.quantity("disk", zero=True)
        project, region = ("local", "local") if local else (read.project("project"), read.region("region"))
        config = cls(
            stack=stack,
            environment=environment,
            project=project,
            region=region,
            name=read.name("name", auto=base_from_stack(stack)),
            protected=read.boolean("protected", auto=prod),
            cpu=read.integer("cpu", auto=size.cpu),
            memory_mib=memory,
            disk_mib=disk,
            data_mib=read.quantity("data", auto=sizing.data_that_fits(memory, disk)),
            min_instances=read.integer("minInstances", 0, 1, auto=int(prod)),
            startup_seconds=read.integer("startupSeconds", 10, 240),
            request_timeout_seconds=read.integer("requestTimeoutSeconds", 1, 3600),
            log_level=read.choice("logLevel", ("debug", "info", "warning", "error")),
            public=read.boolean("public"),
            invokers=read.members("invokers"),
            ingress=read.choice("ingress", ("all", "internal", "internal-and-load-balancer")),
            api_keys=read.boolean("apiKeys"),
            api_key=read.secret("apiKey", stored_secret="apiKey" in secret_keys),
            reader_key=read.secret("readOnlyApiKey", stored_secret="readOnlyApiKey" in secret_keys),
            key_rotation=read.integer("keyRotation", 1, 10_000),
            vpc_network=read.text("vpcNetwork"),
            vpc_subnet=read.text("vpcSubnet"),
            vpc_egress=read.choice("vpcEgress", ("private-ranges-only", "all-traffic")),
            deployers=read.emails("deployers"),
            image=read.digest("image"),
            qdrant_image=read.digest("qdrantImage"),
            base_image=read.text("baseImage"),
            backup_prefix=read.prefix("backupPrefix"),
            collections=read.names("collections"),
            backup_max_age_seconds=read.integer("backupMaxAgeSeconds", 5, 3600),
            restore_policy=read.choice("restorePolicy", ("if-exists", "required", "never")),
            snapshot_schedule=read.checked("snapshotSchedule", cron.cron_fault, like="0 */6 * * *"),
            time_zone=read.checked("timeZone", cron.zone_fault, like="Europe/Zurich"),
            scheduler_region=read.region("schedulerRegion", auto=region),
            snapshot_deadline_seconds=read.integer("snapshotDeadlineSeconds", 15, 1800),
            snapshot_retries=read.integer("snapshotRetries", 0, 5),
            second_region=read.region("secondRegion", auto="") if given.get("secondRegion") else "",
            old_version_days=read.integer("oldVersionDays", 1, 365),
            soft_delete_days=read.integer("softDeleteDays", 0, 90),
            kms_key=read.kms_key("kmsKey"),
            monitoring=read.boolean("monitoring", auto=prod),
            alert_emails=read.emails("alertEmails"),
            local_port=read.integer("localPort", 1024, 65535),
            local_agent_port=read.integer("localAgentPort", 1024, 65535),
        )
        check_together(config, findings)
        if findings.found:
            raise ConfigProblems(stack, findings.found)
        return config

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
    def told(self) -> Told:
        """What its container is told."""
        return Told(
            backup_url=f"gs://{self.names.bucket}/{self.backup_prefix}",
            project=self.project,
            collections=",".join(self.collections),
            caller_audiences=self.audience,
            service_access="public" if self.public or self.environment == "local" else "private",
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
        """When it is asked for a backup."""
        return Timetable(
            region=self.scheduler_region,
            cron=self.snapshot_schedule,
            time_zone=self.time_zone,
            deadline_seconds=self.snapshot_deadline_seconds,
            retries=self.snapshot_retries,
        )

    @property
    def watch(self) -> Watch:
        """Who is told; a check from outside must reach the service, and would keep one at zero awake."""
        uptime = self.monitoring and self.ingress == "all" and self.min_instances > 0
        return Watch(emails=self.alert_emails, uptime=uptime)

    @property
    def extra_apis(self) -> tuple[str, ...]:
        """APIs that only some stacks need."""
        wanted = {"cloudkms": self.kms_key, "compute": self.vpc_network}
        extra = [api for api, value in wanted.items() if value]
        return (*extra, "logging", "monitoring") if self.monitoring else tuple(extra)
