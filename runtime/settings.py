"""The container's settings: the one reader of the environment.

Owns every variable's default, limits and meaning. Reports every problem at once, before anything is contacted.
Owns none of Qdrant's own settings: `QDRANT__*` is handed on untouched.
"""

import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from runtime import contract
from runtime.errors import ConfigError

T = TypeVar("T")

RestorePolicy = Literal["if-exists", "required", "never"]
RestoreFallback = Literal["older", "refuse"]
StoreOutage = Literal["refuse", "accept"]
InstanceRole = Literal["auto", "reader"]
RuntimeEnvironment = Literal["production", "development"]
ServiceAccess = Literal["public", "private"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_ACCOUNT = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")


def _choice(kind: Any) -> Callable[[str], Any]:
    allowed = get_args(kind)

    def parse(text: str) -> Any:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError("must be a port number from 1 to 65535")
    return int(text)


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def _flag(text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
    raise ValueError("must be true or false")


def _backup_url(text: str) -> str:
    url = urllib.parse.urlsplit(text)
    if url.query or url.fragment or not text.isprintable():
        raise ValueError("must have no ? and no # part, and no control characters")
    path = url.path.rstrip("/").removeprefix("/")
    if path and {"", ".", ".."} & set(path.split("/")):
        raise ValueError("must have no empty part, no '.' and no '..' in its path")
    if url.scheme == "gs":
        if not _BUCKET.fullmatch(url.netloc):
            raise ValueError("must name a bucket: gs://BUCKET or gs://BUCKET/PREFIX")
    elif url.scheme == "file":
        if url.netloc or not url.path.startswith("/") or not path:
            raise ValueError("must name an absolute directory: file:///DIRECTORY")
    else:
        raise ValueError("must be gs://BUCKET/PREFIX or file:///DIRECTORY")
    return text.rstrip("/")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _accounts(text: str) -> tuple[str, ...]:
    accounts = _names(text)
    wrong = [account for account in accounts if not _ACCOUNT.fullmatch(account)]
    if wrong:
        raise ValueError(f"must be service account emails, comma-separated; not one: {', '.join(wrong)}")
    return accounts


def _key(text: str) -> str:
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text


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

    port: int = _setting(contract.PORT, _port, str(contract.DEFAULT_PORT), "The public port; Cloud Run sets it.")
    agent_port: int = _setting(
        contract.AGENT_PORT, _port, str(contract.DEFAULT_AGENT_PORT), "Probes and control routes; not public."
    )
    backup_url: str = _setting(
        contract.BACKUP_URL,
        _backup_url,
        "",
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
    qdrant_http_port: int = _setting(contract.QDRANT_HTTP_PORT, _port, "6333", "Qdrant's REST port on loopback.")
    qdrant_grpc_port: int = _setting(contract.QDRANT_GRPC_PORT, _port, "6334", "Qdrant's gRPC port on loopback.")
    storage_dir: Path = _setting(
        contract.QDRANT_STORAGE_DIR,
        Path,
        "./data/qdrant/storage",
        "Qdrant's storage; made anew from the backup.",
    )
    api_key: str | None = _setting(
        contract.QDRANT_API_KEY,
        _key,
        None,
        "The key for reads and writes; required in production.",
        secret=True,
    )
    read_only_api_key: str | None = _setting(
        contract.QDRANT_READ_ONLY_API_KEY, _key, None, "A key that can only read.", secret=True
    )
    collections: tuple[str, ...] = _setting(
        contract.QDRANT_COLLECTION_NAME,
        _names,
        "",
        "The collections to keep, comma-separated; empty keeps all.",
    )
    restore_policy: RestorePolicy = _setting(
        contract.RESTORE_POLICY,
        _choice(RestorePolicy),
        "if-exists",
        "`if-exists` starts empty only in a bucket without a backup, `required` never does; `never` starts empty "
        "whatever there is, which production refuses over data.",
    )
    restore_fallback: RestoreFallback = _setting(
        contract.RESTORE_FALLBACK,
        _choice(RestoreFallback),
        "older",
        "When the newest backup is damaged: take the next older intact one (`older`), loudly, or `refuse` to start.",
    )
    backup_max_age_seconds: float = _setting(
        contract.BACKUP_MAX_AGE_SECONDS,
        _seconds(0.1, 86_400),
        "60",
        "How old the oldest unsaved write may get.",
    )
    backup_quiet_seconds: float = _setting(
        contract.BACKUP_QUIET_SECONDS,
        _seconds(0.05, 86_400),
        "5",
        "A backup follows this long after the last write.",
    )
    shutdown_budget_seconds: float = _setting(
        contract.SHUTDOWN_BUDGET_SECONDS, _seconds(1, 600), "8", "From SIGTERM to exit; Cloud Run gives 10."
    )
    handover_timeout_seconds: float = _setting(
        contract.HANDOVER_TIMEOUT_SECONDS,
        _seconds(1, 600),
        "10",
        "A writer silent for this long is taken for dead. The same in every instance of a lineage.",
    )
    handover_idle_seconds: float = _setting(
        contract.HANDOVER_IDLE_SECONDS,
        _seconds(0, 600),
        "2",
        "A writer without writes for this long yields to an instance that has some.",
    )
    store_outage: StoreOutage = _setting(
        contract.STORE_OUTAGE,
        _choice(StoreOutage),
        "refuse",
        "Writes while the bucket cannot be reached: `refuse` them, or `accept` and count what a crash would lose.",
    )
    instance_role: InstanceRole = _setting(
        contract.INSTANCE_ROLE,
        _choice(InstanceRole),
        "auto",
        "`reader` never writes and follows the newest backup.",
    )
    snapshot_on_start: bool = _setting(
        contract.QDRANT_SNAPSHOT_ON_START,
        _flag,
        "false",
        "Write a stock snapshot of each collection at start.",
    )
    snapshot_dir: Path = _setting(
        contract.QDRANT_SNAPSHOT_DIR, Path, "./data/qdrant/snapshots", "Where stock snapshots are written."
    )
    allowed_callers: tuple[str, ...] = _setting(
        contract.ALLOWED_CALLERS, _accounts, "", "Service accounts whose Google ID tokens may call `/api/*`."
    )
    caller_audiences: tuple[str, ...] = _setting(
        contract.CALLER_AUDIENCES,
        _names,
        "",
        "What the tokens of `ALLOWED_CALLERS` must be made for, comma-separated: the service's URL, or its custom "
        "audience.",
    )
    service_access: ServiceAccess = _setting(
        contract.SERVICE_ACCESS,
        _choice(ServiceAccess),
        "public",
        "`private` says that Cloud Run itself lets in only invokers, and so has checked the tokens whose signature it "
        "removes.",
    )
    runtime_environment: RuntimeEnvironment = _setting(
        contract.RUNTIME_ENVIRONMENT,
        _choice(RuntimeEnvironment),
        "development",
        "`production` refuses emulators and a missing key.",
    )
    log_level: LogLevel = _setting(contract.LOG_LEVEL, _choice(LogLevel), "INFO", "The least severe line to log.")
    engine_environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def effective_backup_url(self) -> str:
        """Where backups are kept, `GCS_BUCKET_NAME` taken into account."""
        return self.backup_url or f"gs://{self.bucket_name}"

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Read and check every variable. An empty value counts as not set. Raises ConfigError with all problems."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        for item in fields(cls):
            if "variable" not in item.metadata:
                continue
            variable, default = item.metadata["variable"], item.metadata["default"]
            text = environment.get(variable, "").strip() or default
            if not text:
                values[item.name] = None if default is None else _empty(item.metadata["parse"])
                continue
            try:
                values[item.name] = item.metadata["parse"](text)
            except ValueError as error:
                shown = "its value" if item.metadata["secret"] else f"{text!r}"
                problems.append(f"{variable}: {shown} is wrong: {error}")
        problems += _contradictions(values, environment)
        if problems:
            raise ConfigError(
                f"{len(problems)} setting(s) are wrong:\n  " + "\n  ".join(sorted(problems)),
                hint="docs/configuration.md lists every variable",
            )
        ours = {item.metadata["variable"] for item in fields(cls) if "variable" in item.metadata}
        engine = {name: value for name, value in environment.items() if name not in ours}
        return cls(**values, engine_environment=engine)


def _empty(parse: Callable[[str], Any]) -> Any:
    return () if parse in (_names, _accounts) else ""


def _contradictions(values: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong between variables; those that failed alone are absent from `values`."""
    problems = [*_bucket_problems(values), *_port_problems(values)]
    if values.get("runtime_environment") == "production":
        problems += _production_problems(values)
    quiet, age = values.get("backup_quiet_seconds"), values.get("backup_max_age_seconds")
    if quiet is not None and age is not None and quiet > age:
        problems.append(f"BACKUP_QUIET_SECONDS: {quiet:g} is more than BACKUP_MAX_AGE_SECONDS, {age:g}: lower it")
    read_only = values.get("read_only_api_key")
    if read_only and read_only == values.get("api_key"):
        problems.append("QDRANT_READ_ONLY_API_KEY: is the same as QDRANT_API_KEY: it would allow writes; make another")
    if read_only and "api_key" in values and not values["api_key"]:
        problems.append("QDRANT_API_KEY: is missing while QDRANT_READ_ONLY_API_KEY is set: set both, or neither")
    if (
        values.get("allowed_callers")
        and values.get("service_access") == "public"
        and values.get("caller_audiences") == ()
    ):
        problems.append(
            "CALLER_AUDIENCES: is missing while ALLOWED_CALLERS is set: set the service's URL, or "
            "SERVICE_ACCESS=private where Cloud Run checks every caller"
        )
    problems += [
        f"{name}: is set by the runtime: use {ours} instead"
        for name, ours in _OWNED_BY_THE_RUNTIME.items()
        if name in environment
    ]
    return problems


def _bucket_problems(values: Mapping[str, Any]) -> list[str]:
    url, bucket = values.get("backup_url", "?"), values.get("bucket_name")
    if not url and not bucket:
        return ["BACKUP_URL: is missing: set gs://BUCKET/PREFIX, or file:///DIRECTORY on one machine"]
    if not url and bucket and not _BUCKET.fullmatch(bucket):
        return [f"GCS_BUCKET_NAME: {bucket!r} is wrong: must be a bucket's name, without gs:// and slashes"]
    return []


def _port_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    taken: dict[int, str] = {}
    for name in ("port", "agent_port", "qdrant_http_port", "qdrant_grpc_port"):
        port = values.get(name)
        if port in taken:
            problems.append(f"{name.upper()}: {port} is taken by {taken[port]} already: choose another")
        elif port is not None:
            taken[port] = name.upper()
    return problems


def _production_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if values.get("emulator_host"):
        problems.append("STORAGE_EMULATOR_HOST: is set in production: unset it, or use RUNTIME_ENVIRONMENT=development")
    if "api_key" in values and not values["api_key"]:
        problems.append("QDRANT_API_KEY: is missing in production: set it from Secret Manager")
    if values.get("backup_url", "").startswith("file:"):
        problems.append("BACKUP_URL: a directory is lost with the container in production: use gs://BUCKET/PREFIX")
    return problems


_OWNED_BY_THE_RUNTIME: Mapping[str, str] = {
    "QDRANT__SERVICE__HTTP_PORT": contract.QDRANT_HTTP_PORT,
    "QDRANT__SERVICE__GRPC_PORT": contract.QDRANT_GRPC_PORT,
    "QDRANT__STORAGE__STORAGE_PATH": contract.QDRANT_STORAGE_DIR,
    "QDRANT__SERVICE__API_KEY": contract.QDRANT_API_KEY,
    "QDRANT__SERVICE__READ_ONLY_API_KEY": contract.QDRANT_READ_ONLY_API_KEY,
}
