"""Every value of a stack's configuration, read and flat.

Owns the list of them alone: `components.config` reads and groups them, `components.consistency` compares them.
"""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class StackValues:
    """What a stack deploys; sizes in MiB, an empty schedule is one that is off, `keep` counts backups.

    `keep`: the newest, and one of each hour, day and week.
    """

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
    durability: str
    restore_policy: str
    snapshot_schedule: str
    time_zone: str
    scheduler_region: str
    snapshot_deadline_seconds: int
    snapshot_retries: int
    readers: int
    min_readers: int
    reader_cpu: int
    reader_memory_mib: int
    reader_invokers: tuple[str, ...]
    drill_schedule: str
    prune_schedule: str
    keep: tuple[int, int, int, int]
    sync_source: str
    sync_source_key: pulumi.Output[str] | None
    sync_schedule: str
    second_region: str
    old_version_days: int
    soft_delete_days: int
    kms_key: str
    monitoring: bool
    alert_emails: tuple[str, ...]
    docs_url: str
    local_port: int
    local_agent_port: int
