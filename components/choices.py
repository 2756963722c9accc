"""What the user chose, grouped by the part of the stack that asks for it.

Owns the shapes in which `StackConfig` hands checked values to components. Decides and checks nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pulumi

from components.container import Container
from components.naming import Names


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are made, for which container, under which names, and whether they may be deleted.

    `audience`: what callers' tokens are made for where nobody but the container checks them; else the service's URL.
    """

    container: Container
    project: str
    region: str
    names: Names
    labels: Mapping[str, str]
    protected: bool
    audience: str = ""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How big an instance is, how many there are, how patient Cloud Run is, who reaches them, what they reach."""

    cpu: int
    memory_mib: int
    disk_mib: int
    min_instances: int
    max_instances: int = 1
    startup_seconds: int
    request_timeout_seconds: int
    local_ports: tuple[int, int]
    public: bool
    invokers: Sequence[str]
    ingress: str
    vpc_network: str
    vpc_subnet: str
    vpc_egress: str


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How the bucket keeps objects; the pair is the second region and the multi-region of both."""

    prefix: str
    pair: tuple[str, str] | None
    old_version_days: int
    soft_delete_days: int
    kms_key: str


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """An image given by digest, or (empty) the files below root to build one from."""

    given: str
    root: Path
    dockerfile: str
    files: Sequence[str]
    build_args: Mapping[str, str]


class Told(TypedDict):
    """What the container is told that follows from choices alone, by the contract's argument names."""

    backup_url: str
    project: str
    collections: str
    caller_audiences: str
    service_access: str
    durability: str
    restore_policy: str
    backup_max_age_seconds: str
    runtime_environment: str
    log_level: str


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """One job: the role it runs as, what it runs when (empty: by hand), and what that needs.

    `scratch_mib`: room for a copy of the data, in memory or on a disk of `disk_mib`; 0: it needs none.
    `variables`: what it is told beside what every job is told.
    """

    role: str
    title: str
    command: Sequence[str]
    cron: str
    cpu: int
    memory_mib: int
    disk_mib: int
    scratch_mib: int
    timeout_seconds: int
    retries: int
    severity: str
    advice: str
    variables: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """Where the clock runs, in which time zone, what it does when, and how long the call of a backup may take.

    `crons`: of the snapshot and of the jobs by role; what is off is not there.
    """

    region: str
    crons: Mapping[str, str]
    time_zone: str
    deadline_seconds: int
    retries: int


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of one environment variable: the one that was given, else one is generated; and the roles that use it."""

    variable: str
    given: pulumi.Output[str] | None
    roles: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told, where the runbooks are published, whether a check from outside makes sense, and what is watched.

    `snapshots`: backups are scheduled. `reading`: the readers, if any.
    """

    emails: tuple[str, ...]
    docs_url: str
    uptime: bool
    snapshots: bool = True
    reading: Serving | None = None
