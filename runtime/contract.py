"""The names that the container shares with whoever deploys it.

Owns environment variable names, ports and routes; standard library only, because the
infrastructure reads it without the container's packages. Owns no behaviour and no defaults:
those are in `runtime.settings`.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

T = TypeVar("T")

PORT: Final = "PORT"
AGENT_PORT: Final = "AGENT_PORT"
BACKUP_URL: Final = "BACKUP_URL"
GCS_BUCKET_NAME: Final = "GCS_BUCKET_NAME"
GOOGLE_CLOUD_PROJECT: Final = "GOOGLE_CLOUD_PROJECT"
STORAGE_EMULATOR_HOST: Final = "STORAGE_EMULATOR_HOST"
QDRANT_BIN: Final = "QDRANT_BIN"
QDRANT_HTTP_PORT: Final = "QDRANT_HTTP_PORT"
QDRANT_GRPC_PORT: Final = "QDRANT_GRPC_PORT"
QDRANT_STORAGE_DIR: Final = "QDRANT_STORAGE_DIR"
QDRANT_API_KEY: Final = "QDRANT_API_KEY"
QDRANT_READ_ONLY_API_KEY: Final = "QDRANT_READ_ONLY_API_KEY"
QDRANT_COLLECTION_NAME: Final = "QDRANT_COLLECTION_NAME"
RESTORE_POLICY: Final = "RESTORE_POLICY"
RESTORE_FALLBACK: Final = "RESTORE_FALLBACK"
BACKUP_MAX_AGE_SECONDS: Final = "BACKUP_MAX_AGE_SECONDS"
BACKUP_QUIET_SECONDS: Final = "BACKUP_QUIET_SECONDS"
SHUTDOWN_BUDGET_SECONDS: Final = "SHUTDOWN_BUDGET_SECONDS"
HANDOVER_TIMEOUT_SECONDS: Final = "HANDOVER_TIMEOUT_SECONDS"
HANDOVER_IDLE_SECONDS: Final = "HANDOVER_IDLE_SECONDS"
STORE_OUTAGE: Final = "STORE_OUTAGE"
DURABILITY: Final = "DURABILITY"
JOURNAL_LINGER_MILLISECONDS: Final = "JOURNAL_LINGER_MILLISECONDS"
REPLAY_TARGET_SECONDS: Final = "REPLAY_TARGET_SECONDS"
RECOVERY_WINDOW_HOURS: Final = "RECOVERY_WINDOW_HOURS"
INSTANCE_ROLE: Final = "INSTANCE_ROLE"
QDRANT_SNAPSHOT_ON_START: Final = "QDRANT_SNAPSHOT_ON_START"
QDRANT_SNAPSHOT_DIR: Final = "QDRANT_SNAPSHOT_DIR"
SOURCE_URL: Final = "SOURCE_URL"
SOURCE_API_KEY: Final = "SOURCE_API_KEY"
TARGET_URL: Final = "TARGET_URL"
TARGET_API_KEY: Final = "TARGET_API_KEY"
ALLOWED_CALLERS: Final = "ALLOWED_CALLERS"
CALLER_AUDIENCES: Final = "CALLER_AUDIENCES"
SERVICE_ACCESS: Final = "SERVICE_ACCESS"
RUNTIME_ENVIRONMENT: Final = "RUNTIME_ENVIRONMENT"
LOG_LEVEL: Final = "LOG_LEVEL"

# Cloud Run sets one of them in every container: of a service, of a job. Nobody else does.
IN_A_SERVICE: Final = "K_SERVICE"
IN_A_JOB: Final = "CLOUD_RUN_JOB"

# Cloud Run sets PORT itself and refuses a service that does; the agent's port is ours.
DEFAULT_PORT: Final = 8080
DEFAULT_AGENT_PORT: Final = 8081

HEALTH_ROUTE: Final = "/health"
STATUS_ROUTE: Final = "/status"
STARTUP_ROUTE: Final = "/startup"
LIVE_ROUTE: Final = "/live"
SNAPSHOT_ROUTE: Final = "/api/snapshot"
BACKUPS_ROUTE: Final = "/api/backups"
ROLLBACK_ROUTE: Final = "/api/backups/{identifier}/rollback"
VERIFY_ROUTE: Final = "/api/verify"
METRICS_ROUTE: Final = "/api/metrics"

# The one object of the repository that is ever overwritten; the infrastructure grants the overwrite on this name alone.
HEAD_OBJECT: Final = "HEAD"
# What `sync` keeps beside the backups, and the lease that lets one run at a time: overwritten, by its account alone.
SYNC_FOLDER: Final = "sync"
SYNC_LEASE_OBJECT: Final = "sync/LEASE"
# Folders of the repository below its prefix: the infrastructure grants deletion in them, to pruning alone.
VERIFIED_FOLDER: Final = "verified"
REPOSITORY_FOLDERS: Final = ("manifests", "packs", VERIFIED_FOLDER, "journal", "exports", SYNC_FOLDER)

# The one folder that the image writes to: Qdrant's storage is below it, Cloud Run mounts memory or a disk there.
DATA_DIR: Final = "/data"

# What the jobs run: arguments of the image's program.
DRILL_COMMAND: Final = ("verify", "--deep")
SYNC_COMMAND: Final = ("sync", "pull", "--unchanged-ok")

# Events that somebody is told of, by the name in the log line's `event`.
EVENTS: Final = {
    "backup_committed": "backup.committed",
    "backup_failed": "backup.failed",
    "store_failing": "store.failing",
    "writes_unsaved": "shutdown.unsaved",
    "restore_damaged": "restore.damaged",
    "start_failed": "start.failed",
    "serve_failed": "serve.failed",
    "child_gave_up": "child.gave_up",
    "writer_fenced": "writer.fenced",
    "journal_failing": "journal.failing",
}


def prune_command(*, last: int, hourly: int, daily: int, weekly: int) -> tuple[str, ...]:
    """Return what the pruning job runs: how many backups stay of each kind."""
    keep = {"last": last, "hourly": hourly, "daily": daily, "weekly": weekly}
    return ("prune", *(f"--keep-{kind}={count}" for kind, count in keep.items()))


def job_environment(told: Mapping[str, T]) -> dict[str, T]:
    """Return what a job is told of what its instance is told: a job serves nobody, and has none of Qdrant's keys."""
    variables = (BACKUP_URL, GOOGLE_CLOUD_PROJECT, QDRANT_COLLECTION_NAME, RUNTIME_ENVIRONMENT, LOG_LEVEL)
    return {name: told[name] for name in variables}


def environment(
    *,
    backup_url: T,
    project: T,
    collections: T,
    allowed_callers: T,
    caller_audiences: T,
    service_access: T,
    durability: T,
    restore_policy: T,
    backup_max_age_seconds: T,
    runtime_environment: T,
    log_level: T,
) -> dict[str, T]:
    """Return what a deployment sets in the container's environment, by variable name.

    T is `str` where the container's settings are tested and `pulumi.Input[str]` where it is deployed, so
    a forgotten or a mixed-up argument is a type error on both sides. Keys are secrets and come by their own way.
    """
    return {
        BACKUP_URL: backup_url,
        GOOGLE_CLOUD_PROJECT: project,
        QDRANT_COLLECTION_NAME: collections,
        ALLOWED_CALLERS: allowed_callers,
        CALLER_AUDIENCES: caller_audiences,
        SERVICE_ACCESS: service_access,
        DURABILITY: durability,
        RESTORE_POLICY: restore_policy,
        BACKUP_MAX_AGE_SECONDS: backup_max_age_seconds,
        RUNTIME_ENVIRONMENT: runtime_environment,
        LOG_LEVEL: log_level,
    }
