"""What the user chose, grouped by the part of the stack that asks for it.

Owns the shapes in which `StackConfig` hands checked values to components. Decides and checks nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

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
    """How big the instance is, how patient Cloud Run is with it, who reaches it and what it reaches."""

    cpu: int
    memory_mib: int
    disk_mib: int
    min_instances: int
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
    restore_policy: str
    backup_max_age_seconds: str
    runtime_environment: str
    log_level: str


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """When a backup is asked for, and how long that may take."""

    region: str
    cron: str
    time_zone: str
    deadline_seconds: int
    retries: int


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told, where the runbooks are published, and whether a check from outside makes sense."""

    emails: tuple[str, ...]
    docs_url: str
    uptime: bool
