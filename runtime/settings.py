"""The container's settings: the one reader of the environment.

Owns every variable's default and meaning. Reports every problem at once, before anything is contacted.
How a value is written is in `setting_forms`, what two variables must not say together in `setting_conflicts`.
Owns none of Qdrant's own settings: `QDRANT__*` is handed on untouched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from runtime import contract
from runtime import setting_forms as form
from runtime.errors import ConfigError
from runtime.setting_conflicts import conflicts

T = TypeVar("T")

RestorePolicy = Literal["if-exists", "required", "never"]
RestoreFallback = Literal["older", "refuse"]
StoreOutage = Literal["refuse", "accept"]
Durability = Literal["journal", "snapshot"]
InstanceRole = Literal["auto", "reader"]
RuntimeEnvironment = Literal["production", "development"]
ServiceAccess = Literal["public", "private"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def _setting(variable: str, parse: Callable[[str], T], default: str | None, meaning: str, *, secret: bool = False) -> T:
    """Declare one variable. The field's type is what `parse` returns; None as default: not set is None."""
    metadata = {
        "variable": variable,
        "parse": parse,
        "default": default,
        "meaning": meaning,
        "secret": secret,
    }
    value: T = field(metadata=metadata, repr=not secret)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the container is told, checked. Secrets are left out of its repr."""

    port: int = _setting(contract.PORT, form.port, str(contract.DEFAULT_PORT), "The public port; Cloud Run sets it.")
    agent_port: int = _setting(
        contract.AGENT_PORT, form.port, str(contract.DEFAULT_AGENT_PORT), "Probes and control routes; not public."
    )
    backup_url: str | None = _setting(
        contract.BACKUP_URL,
        form.backup_url,
        None,
        "Where backups are kept: `gs://BUCKET/PREFIX` or `file:///DIRECTORY`.",
    )
    bucket_name: str | None = _setting(
        contract.GCS_BUCKET_NAME, str, None, "Short for `BACKUP_URL=gs://NAME` when that is not set."
    )
    project: str | None = _setting(contract.GOOGLE_CLOUD_PROJECT, str, None, "The project that owns the bucket.")
    emulator_host: str | None = _setting(
        contract.STORAGE_EMULATOR_HOST, str, None, "A bucket emulator's URL; refused in production."
    )
    qdrant_bin: str = _setting(contract.QDRANT_BIN, str, "qdrant", "Qdrant's program: a path, or a name on PATH.")
    qdrant_http_port: int = _setting(contract.QDRANT_HTTP_PORT, form.port, "6333", "Qdrant's REST port on loopback.")
    qdrant_grpc_port: int = _setting(contract.QDRANT_GRPC_PORT, form.port, "6334", "Qdrant's gRPC port on loopback.")
    storage_dir: Path = _setting(
        contract.QDRANT_STORAGE_DIR, Path, "./data/qdrant/storage", "Qdrant's storage; made anew from the backup."
    )
    api_key: str | None = _setting(
        contract.QDRANT_API_KEY, form.key, None, "The key for reads and writes; required in production.", secret=True
    )
    read_only_api_key: str | None = _setting(
        contract.QDRANT_READ_ONLY_API_KEY, form.key, None, "A key that can only read.", secret=True
    )
    collections: tuple[str, ...] = _setting(
        contract.QDRANT_COLLECTION_NAME, form.names, "", "The collections to keep, comma-separated; empty keeps all."
    )
    restore_policy: RestorePolicy = _setting(
        contract.RESTORE_POLICY,
        form.choice(RestorePolicy),
        "if-exists",
        "`if-exists` starts empty only in a bucket without data, `required` never does; `never` starts empty "
        "whatever there is, which production refuses over data.",
    )
    restore_fallback: RestoreFallback = _setting(
        contract.RESTORE_FALLBACK,
        form.choice(RestoreFallback),
        "older",
        "When the newest backup is damaged: take the next older intact one (`older`), loudly, or `refuse` to start.",
    )
    backup_max_age_seconds: float = _setting(
        contract.BACKUP_MAX_AGE_SECONDS, form.seconds(0.1, 86_400), "60", "How old the oldest unsaved write may get."
    )
    backup_quiet_seconds: float = _setting(
        contract.BACKUP_QUIET_SECONDS,
        form.seconds(0.05, 86_400),
        "5",
        "A backup follows this long after the last write.",
    )
    shutdown_budget_seconds: float = _setting(
        contract.SHUTDOWN_BUDGET_SECONDS, form.seconds(1, 600), "8", "From SIGTERM to exit; Cloud Run gives 10."
    )
    handover_timeout_seconds: float = _setting(
        contract.HANDOVER_TIMEOUT_SECONDS,
        form.seconds(1, 600),
        "10",
        "A writer silent for this long is taken for dead. The same in every instance of a lineage.",
    )
    handover_idle_seconds: float = _setting(
        contract.HANDOVER_IDLE_SECONDS,
        form.seconds(0, 600),
        "2",
        "A writer without writes for this long yields to an instance that has some.",
    )
    store_outage: StoreOutage = _setting(
        contract.STORE_OUTAGE,
        form.choice(StoreOutage),
        "refuse",
        "Writes while the bucket cannot be reached: `refuse` them, or `accept` and count what a crash would lose.",
    )
    durability: Durability | None = _setting(
        contract.DURABILITY,
        form.choice(Durability),
        None,
        "`journal` acknowledges a write when the bucket holds it; `snapshot` when Qdrant does, and a crash loses what "
        "no backup has. Not set: `journal`, but `snapshot` with `STORE_OUTAGE=accept`.",
    )
    journal_linger_milliseconds: float = _setting(
        contract.JOURNAL_LINGER_MILLISECONDS,
        form.number(0, 1000),
        "2",
        "How long a write waits for others to go into the bucket with it.",
    )
    replay_target_seconds: float = _setting(
        contract.REPLAY_TARGET_SECONDS,
        form.seconds(1, 3600),
        "20",
        "A backup is taken before replaying the journal at a start would take longer.",
    )
    recovery_window_hours: float = _setting(
        contract.RECOVERY_WINDOW_HOURS,
        form.number(0, 24 * 365),
        "24",
        "How far back any moment can be recovered: `prune` keeps the journal that long.",
    )
    instance_role: InstanceRole = _setting(
        contract.INSTANCE_ROLE,
        form.choice(InstanceRole),
        "auto",
        "`reader` never writes and follows the newest backup.",
    )
    snapshot_on_start: bool = _setting(
        contract.QDRANT_SNAPSHOT_ON_START, form.flag, "false", "Write a stock snapshot of each collection at start."
    )
    snapshot_dir: Path = _setting(
        contract.QDRANT_SNAPSHOT_DIR, Path, "./data/qdrant/snapshots", "Where stock snapshots are written."
    )
    source_url: str | None = _setting(
        contract.SOURCE_URL, form.engine_url, None, "The Qdrant that `sync pull` reads: `https://HOST:6333`."
    )
    source_api_key: str | None = _setting(contract.SOURCE_API_KEY, form.key, None, "Its key.", secret=True)
    target_url: str | None = _setting(
        contract.TARGET_URL, form.engine_url, None, "The Qdrant that `sync push` fills: `https://HOST:6333`."
    )
    target_api_key: str | None = _setting(contract.TARGET_API_KEY, form.key, None, "Its key.", secret=True)
    allowed_callers: tuple[str, ...] = _setting(
        contract.ALLOWED_CALLERS, form.accounts, "", "Service accounts whose Google ID tokens may call `/api/*`."
    )
    caller_audiences: tuple[str, ...] = _setting(
        contract.CALLER_AUDIENCES,
        form.names,
        "",
        "What the tokens of `ALLOWED_CALLERS` must be made for, comma-separated: the service's URL, or its custom "
        "audience.",
    )
    service_access: ServiceAccess = _setting(
        contract.SERVICE_ACCESS,
        form.choice(ServiceAccess),
        "public",
        "`private` says that Cloud Run itself lets in only invokers, and so has checked the tokens whose signature it "
        "removes.",
    )
    runtime_environment: RuntimeEnvironment = _setting(
        contract.RUNTIME_ENVIRONMENT,
        form.choice(RuntimeEnvironment),
        "development",
        "`production` refuses emulators and a missing key.",
    )
    log_level: LogLevel = _setting(contract.LOG_LEVEL, form.choice(LogLevel), "INFO", "The least severe line to log.")
    engine_environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def keeps_journal(self) -> bool:
        """Whether a write is acknowledged only when the bucket holds it."""
        return self.durability == "journal" or (self.durability is None and self.store_outage == "refuse")

    @property
    def effective_backup_url(self) -> str:
        """Where backups are kept, `GCS_BUCKET_NAME` taken into account."""
        return self.backup_url or f"gs://{self.bucket_name}"

    @classmethod
    def from_env(cls, environment: Mapping[str, str], *, serves: bool = True) -> "Settings":
        """Read and check every variable. An empty value counts as not set. Raises ConfigError with all problems.

        `serves`: whether clients will be let in; what does not serve needs no key, also in production.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for item in fields(cls):
            if "variable" not in item.metadata:
                continue
            variable, default = item.metadata["variable"], item.metadata["default"]
            text = environment.get(variable, "").strip() or default
            try:
                values[item.name] = None if text is None else item.metadata["parse"](text)
            except ValueError as error:
                # What holds an @ may hold a password before it, put there by mistake.
                shown = "its value" if item.metadata["secret"] or "@" in text else f"{text!r}"
                problems.append(f"{variable}: {shown} is wrong: {error}")
        problems += conflicts(values, environment, serves=serves)
        if problems:
            raise ConfigError(
                f"{len(problems)} setting(s) are wrong:\n  " + "\n  ".join(sorted(problems)),
                hint="docs/configuration.md lists every variable",
            )
        ours = {item.metadata["variable"] for item in fields(cls) if "variable" in item.metadata}
        engine = {name: value for name, value in environment.items() if name not in ours}
        return cls(**values, engine_environment=engine)
