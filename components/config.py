"""The configuration of a stack: read once, checked whole, frozen.

Owns the rules of single values; rules between values are in `components.consistency`, the keys and their
defaults in `components.options`, what the parts of a stack are handed in `components.views`. Nothing else in
this program reads `pulumi.Config`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
from pulumi.runtime import config as engine_config
from pulumi.runtime import is_config_secret

from components import cron, options, sizing
from components.consistency import check_together
from components.keys import PROJECT_NAME, own_keys, report_unknown
from components.naming import base_from_stack
from components.problems import ConfigProblems, Findings
from components.reader import Reader
from components.views import StackViews


@dataclass(frozen=True, kw_only=True)
class StackConfig(StackViews):
    """What a stack deploys; every field is checked, alone and against the others."""

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
        cpu = read.integer("cpu", auto=size.cpu)
        reader_size = read.choice("readerSize", ("auto", *sizing.SIZES))
        reader_like = sizing.SIZES.get(reader_size, sizing.Size(cpu, memory))
        readers = read.integer("readers", 0, 100)
        project, region = ("local", "local") if local else (read.project("project"), read.region("region"))
        config = cls(
            stack=stack,
            environment=environment,
            project=project,
            region=region,
            name=read.name("name", auto=base_from_stack(stack)),
            protected=read.boolean("protected", auto=prod),
            cpu=cpu,
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
            durability=read.choice("durability", ("journal", "snapshot")),
            restore_policy=read.choice("restorePolicy", ("if-exists", "required", "never")),
            snapshot_schedule=read.schedule("snapshotSchedule", like="0 */6 * * *"),
            time_zone=read.checked("timeZone", cron.zone_fault, like="Europe/Zurich"),
            scheduler_region=read.region("schedulerRegion", auto=region),
            snapshot_deadline_seconds=read.integer("snapshotDeadlineSeconds", 15, 1800),
            snapshot_retries=read.integer("snapshotRetries", 0, 5),
            readers=readers,
            min_readers=read.integer("minReaders", 0, 100, auto=min(readers, int(prod))),
            reader_cpu=reader_like.cpu,
            reader_memory_mib=reader_like.memory_mib,
            reader_invokers=read.members("readerInvokers"),
            drill_schedule=read.schedule("drillSchedule", like="0 3 * * *"),
            prune_schedule=read.schedule("pruneSchedule", like="30 4 * * *"),
            keep=(
                read.integer("keepLast", 1, 1000),
                read.integer("keepHourly", 0, 1000),
                read.integer("keepDaily", 0, 1000),
                read.integer("keepWeekly", 0, 1000),
            ),
            sync_source=read.engine_url("syncSource"),
            sync_source_key=read.secret("syncSourceKey", stored_secret="syncSourceKey" in secret_keys),
            sync_schedule=read.schedule("syncSchedule", like="0 1 * * *"),
            second_region=read.region("secondRegion", auto="") if given.get("secondRegion") else "",
            old_version_days=read.integer("oldVersionDays", 1, 365),
            soft_delete_days=read.integer("softDeleteDays", 0, 90),
            kms_key=read.kms_key("kmsKey"),
            monitoring=read.boolean("monitoring", auto=prod),
            alert_emails=read.emails("alertEmails"),
            docs_url=read.address("docsUrl"),
            local_port=read.integer("localPort", 1024, 65535),
            local_agent_port=read.integer("localAgentPort", 1024, 65535),
        )
        check_together(config, findings)
        if findings.found:
            raise ConfigProblems(stack, findings.found)
        return config
