import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import contract
from runtime.errors import ConfigError
from runtime.settings import (
    InstanceRole,
    LogLevel,
    RestoreFallback,
    RestorePolicy,
    ServiceAccess,
    Settings,
    StoreOutage,
)

SECRETS = (
    contract.QDRANT_API_KEY,
    contract.QDRANT_READ_ONLY_API_KEY,
    contract.SOURCE_API_KEY,
    contract.TARGET_API_KEY,
)
MINIMAL = {"BACKUP_URL": "file:///backups"}

_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=3, max_size=20).map(lambda text: f"a{text}z")
_PATHS = st.lists(_WORD, min_size=1, max_size=3).map("/".join)
_KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
_EMAILS = st.builds(lambda name, project: f"{name}@{project}.iam.gserviceaccount.com", _WORD, _WORD)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters=",\0", exclude_categories=("Zs", "Cc", "Zl", "Zp")))


def _seconds(low: float, high: float) -> st.SearchStrategy[float]:
    """Draw a number of seconds."""
    return st.floats(low, high, allow_nan=False)


VALUES: Mapping[str, tuple[str, st.SearchStrategy[Any]]] = {
    contract.BACKUP_URL: ("backup_url", _PATHS.map("gs://{}".format) | _PATHS.map("file:///{}".format)),
    contract.GCS_BUCKET_NAME: ("bucket_name", _WORD),
    contract.GOOGLE_CLOUD_PROJECT: ("project", _WORD),
    contract.STORAGE_EMULATOR_HOST: ("emulator_host", _WORD.map("http://{}:4443".format)),
    contract.QDRANT_BIN: ("qdrant_bin", _PATHS),
    contract.QDRANT_STORAGE_DIR: ("storage_dir", _PATHS.map(Path)),
    contract.QDRANT_SNAPSHOT_DIR: ("snapshot_dir", _PATHS.map(Path)),
    contract.QDRANT_COLLECTION_NAME: (
        "collections",
        st.lists(_NAMES.filter(bool), min_size=1, max_size=4).map(tuple),
    ),
    contract.CALLER_AUDIENCES: ("caller_audiences", st.lists(_WORD, min_size=1, max_size=2).map(tuple)),
    contract.SERVICE_ACCESS: ("service_access", st.sampled_from(get_args(ServiceAccess))),
    contract.ALLOWED_CALLERS: ("allowed_callers", st.lists(_EMAILS, min_size=1, max_size=3).map(tuple)),
    contract.RESTORE_POLICY: ("restore_policy", st.sampled_from(get_args(RestorePolicy))),
    contract.RESTORE_FALLBACK: ("restore_fallback", st.sampled_from(get_args(RestoreFallback))),
    contract.STORE_OUTAGE: ("store_outage", st.sampled_from(get_args(StoreOutage))),
    contract.INSTANCE_ROLE: ("instance_role", st.sampled_from(get_args(InstanceRole))),
    contract.LOG_LEVEL: ("log_level", st.sampled_from(get_args(LogLevel))),
    contract.BACKUP_MAX_AGE_SECONDS: ("backup_max_age_seconds", _seconds(5, 86_400)),
    contract.BACKUP_QUIET_SECONDS: ("backup_quiet_seconds", _seconds(0.05, 5)),
    contract.SHUTDOWN_BUDGET_SECONDS: ("shutdown_budget_seconds", _seconds(1, 600)),
    contract.HANDOVER_TIMEOUT_SECONDS: ("handover_timeout_seconds", _seconds(1, 600)),
    contract.HANDOVER_IDLE_SECONDS: ("handover_idle_seconds", _seconds(0, 600)),
    contract.QDRANT_SNAPSHOT_ON_START: ("snapshot_on_start", st.booleans()),
    contract.SOURCE_URL: ("source_url", _WORD.map("https://{}:6333".format)),
    contract.TARGET_URL: ("target_url", _WORD.map("http://{}/qdrant".format)),
}
_PORT_NAMES = (contract.PORT, contract.AGENT_PORT, contract.QDRANT_HTTP_PORT, contract.QDRANT_GRPC_PORT)
PORTS = {name: name.lower() for name in _PORT_NAMES}


def written(value: Any) -> str:
    """Return a value as an environment holds it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return repr(value) if isinstance(value, float) else str(value)


@st.composite
def environments(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    """Draw a valid environment of a development machine, and what each field of the settings must be."""
    chosen = draw(st.sets(st.sampled_from(sorted(VALUES)))) | {contract.BACKUP_URL}
    if contract.ALLOWED_CALLERS in chosen:
        chosen |= {contract.CALLER_AUDIENCES}
    values = {name: draw(VALUES[name][1]) for name in sorted(chosen)}
    environment = {name: written(value) for name, value in values.items()}
    expected = {VALUES[name][0]: value for name, value in values.items()}
    ports = draw(st.lists(st.integers(1, 65535), min_size=4, max_size=4, unique=True))
    environment |= {name: str(port) for name, port in zip(PORTS, ports, strict=True)}
    expected |= dict(zip(PORTS.values(), ports, strict=True))
    keys = draw(st.lists(_KEYS, max_size=4, unique=True))
    attributes = ("api_key", "read_only_api_key", "source_api_key", "target_api_key")
    for name, attribute, key in zip(SECRETS, attributes, keys, strict=False):
        environment[name] = expected[attribute] = key
    expected["engine_environment"] = {"QDRANT__LOG_LEVEL": "DEBUG", "PATH": "/bin"}
    return environment | expected["engine_environment"], expected


@given(drawn=environments())
def test_a_valid_environment_is_read_as_it_was_written(drawn: tuple[dict[str, str], dict[str, Any]]) -> None:
    """Every variable set comes back as its value, every other as its default, and the rest is for the engine."""
    environment, expected = drawn
    settings = Settings.from_env(environment)
    defaults = Settings.from_env(MINIMAL)
    for item in fields(Settings):
        assert getattr(settings, item.name) == expected.get(item.name, getattr(defaults, item.name))


@given(drawn=environments())
def test_an_empty_value_is_one_that_is_not_set(drawn: tuple[dict[str, str], dict[str, Any]]) -> None:
    """An empty or blank variable counts as absent."""
    environment, _ = drawn
    blank = {item.metadata["variable"]: "  " for item in fields(Settings) if "variable" in item.metadata}
    assert Settings.from_env(blank | environment) == Settings.from_env(environment)


WRONG = {
    contract.PORT: ["0", "65536", "-1", "http", "80.0", "²", "9" * 5000],
    contract.AGENT_PORT: ["x"],
    contract.QDRANT_HTTP_PORT: ["70000"],
    contract.QDRANT_GRPC_PORT: ["6334x"],
    contract.BACKUP_URL: [
        "backups", "s3://bucket", "gs://", "gs:///x", "gs://B", "gs://a_very.good-bucket?x=1", "gs://bucket/x#y",
        "gs://user@bucket", "gs://bucket:80", "file://host/x", "file:///", "file:////", "file:x", "http://x",
        "gs://bucket//x", "gs://bucket/../x", "file:///a/../b", "gs://bucket/a\nb", "gs://buc\nket", "gs://[",
    ],
    contract.RESTORE_POLICY: ["Required", "no"],
    contract.RESTORE_FALLBACK: ["newest"],
    contract.STORE_OUTAGE: ["ignore"],
    contract.INSTANCE_ROLE: ["writer"],
    contract.SERVICE_ACCESS: ["internal"],
    contract.RUNTIME_ENVIRONMENT: ["prod"],
    contract.LOG_LEVEL: ["info", "TRACE"],
    contract.BACKUP_MAX_AGE_SECONDS: ["0", "-1", "nan", "inf", "1e9", "soon"],
    contract.BACKUP_QUIET_SECONDS: ["0", "nan", "x"],
    contract.SHUTDOWN_BUDGET_SECONDS: ["0.5", "601"],
    contract.HANDOVER_TIMEOUT_SECONDS: ["0", "601"],
    contract.HANDOVER_IDLE_SECONDS: ["-0.1", "nan"],
    contract.QDRANT_SNAPSHOT_ON_START: ["maybe"],
    contract.ALLOWED_CALLERS: ["somebody", "a@b.c, d"],
    contract.QDRANT_API_KEY: ["a key", "ключ", "k\x07"],
    contract.QDRANT_READ_ONLY_API_KEY: ["a key"],
    contract.SOURCE_URL: ["host:6333", "ftp://host", "https://", "https://host:0", "https://host:x", "https://h?x=1"],
    contract.TARGET_URL: ["http://host/#x", "https://a b", "http://host:70000"],
    contract.SOURCE_API_KEY: ["a key"],
    contract.TARGET_API_KEY: ["a\x07key"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    """Each value beyond its limits is refused, with the variable's name; a key's value is never shown."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(MINIMAL | {name: value})
    assert f"{name}: " in str(caught.value)
    assert (value in str(caught.value)) <= (name not in SECRETS)


def test_a_password_in_an_address_is_not_shown() -> None:
    """An address with a password in it is refused without repeating it."""
    with pytest.raises(ConfigError, match="SOURCE_URL: its value is wrong") as caught:
        Settings.from_env(MINIMAL | {"SOURCE_URL": "https://me:hunter2@host"})
    assert "hunter2" not in str(caught.value)


@given(wrong=st.sets(st.sampled_from(sorted(WRONG)), min_size=1), data=st.data())
def test_all_problems_are_told_at_once(wrong: set[str], data: st.DataObject) -> None:
    """However many variables are wrong, one message names each of them."""
    environment = MINIMAL | {name: data.draw(st.sampled_from(WRONG[name])) for name in sorted(wrong)}
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environment)
    for name in wrong:
        assert f"{name}: " in caught.value.message
    assert caught.value.message.startswith(f"{len(wrong)} setting(s)")
    assert caught.value.exit_code == 2


CONTRADICTIONS: list[tuple[dict[str, str], str]] = [
    ({"BACKUP_URL": ""}, "BACKUP_URL: is missing"),
    ({"BACKUP_URL": "", "GCS_BUCKET_NAME": "gs://x"}, "GCS_BUCKET_NAME: 'gs://x' is wrong"),
    ({"PORT": "8081"}, "AGENT_PORT: 8081 is taken by PORT"),
    ({"QDRANT_HTTP_PORT": "6334"}, "QDRANT_GRPC_PORT: 6334 is taken by QDRANT_HTTP_PORT"),
    ({"BACKUP_QUIET_SECONDS": "61"}, "BACKUP_QUIET_SECONDS: 61 is more than BACKUP_MAX_AGE_SECONDS"),
    ({"QDRANT_API_KEY": "k", "QDRANT_READ_ONLY_API_KEY": "k"}, "QDRANT_READ_ONLY_API_KEY: is the same"),
    ({"QDRANT_READ_ONLY_API_KEY": "k"}, "QDRANT_API_KEY: is missing while"),
    ({"RUNTIME_ENVIRONMENT": "production"}, "QDRANT_API_KEY: is missing in production"),
    ({"RUNTIME_ENVIRONMENT": "production"}, "BACKUP_URL: a directory is lost"),
    ({"ALLOWED_CALLERS": "a@b.c"}, "CALLER_AUDIENCES: is missing while ALLOWED_CALLERS is set"),
    ({"QDRANT__SERVICE__API_KEY": "k"}, "QDRANT__SERVICE__API_KEY: is set by the runtime: use QDRANT_API_KEY"),
    ({"QDRANT__SERVICE__HTTP_PORT": "1"}, "use QDRANT_HTTP_PORT instead"),
]


@pytest.mark.parametrize(("changes", "problem"), CONTRADICTIONS, ids=range(len(CONTRADICTIONS)))
def test_variables_that_contradict_each_other_are_named(changes: dict[str, str], problem: str) -> None:
    """What is only wrong together is told with what to change."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(MINIMAL | changes)
    assert problem in str(caught.value)


@given(drawn=environments())
def test_production_never_runs_with_an_emulator(drawn: tuple[dict[str, str], dict[str, Any]]) -> None:
    """With everything else as production wants it, an emulator alone is refused."""
    environment, _ = drawn
    production = environment | {
        contract.RUNTIME_ENVIRONMENT: "production",
        contract.BACKUP_URL: "gs://bucket/prefix",
        contract.QDRANT_API_KEY: "the-key-of-production",
    }
    production.pop(contract.STORAGE_EMULATOR_HOST, None)
    assert Settings.from_env(production).emulator_host is None
    with pytest.raises(ConfigError, match="STORAGE_EMULATOR_HOST: is set in production"):
        Settings.from_env(production | {contract.STORAGE_EMULATOR_HOST: "http://localhost:4443"})


@given(drawn=environments(), key=_KEYS.map(lambda key: f"%{key}%"))
def test_a_key_is_never_shown(drawn: tuple[dict[str, str], dict[str, Any]], key: str) -> None:
    """Not in the settings' repr, nor in a message about settings that are wrong, also when the key itself is."""
    environment, _ = drawn
    environment = {name: value for name, value in environment.items() if name not in SECRETS}
    assert key not in repr(Settings.from_env(environment | {contract.QDRANT_API_KEY: key}))
    for wrong in (
        {contract.QDRANT_API_KEY: f"{key} {key}"},
        {contract.QDRANT_API_KEY: key, contract.QDRANT_READ_ONLY_API_KEY: key},
        {contract.QDRANT_API_KEY: key, contract.PORT: "x"},
        {"QDRANT__SERVICE__API_KEY": key},
    ):
        with pytest.raises(ConfigError) as caught:
            Settings.from_env(environment | wrong)
        assert key not in str(caught.value)
        assert key not in repr(caught.value)


def test_what_a_deployment_sets_is_what_the_container_reads() -> None:
    """The contract's environment with sample values gives the settings that were meant, and needs nothing else."""
    environment = contract.environment(
        backup_url="gs://bucket/prefix",
        project="project",
        collections="a,b",
        allowed_callers="caller@project.iam.gserviceaccount.com",
        caller_audiences="https://service.example",
        service_access="public",
        durability="journal",
        restore_policy="required",
        backup_max_age_seconds="30",
        runtime_environment="production",
        log_level="WARNING",
    )
    settings = Settings.from_env(environment | {contract.QDRANT_API_KEY: "key"})
    assert settings.effective_backup_url == "gs://bucket/prefix"
    assert settings.project == "project"
    assert settings.collections == ("a", "b")
    assert settings.allowed_callers == ("caller@project.iam.gserviceaccount.com",)
    assert settings.restore_policy == "required"
    assert math.isclose(settings.backup_max_age_seconds, 30)
    assert settings.runtime_environment == "production"
    assert settings.log_level == "WARNING"


def test_every_variable_of_the_contract_is_a_setting() -> None:
    """No name is promised to outsiders that nobody reads, and none is read that is not promised."""
    ours = {item.metadata["variable"] for item in fields(Settings) if "variable" in item.metadata}
    promised = {
        value for name, value in vars(contract).items() if name.isupper() and isinstance(value, str) and name == value
    }
    assert ours == promised - {"HEAD"}


def test_a_bucket_s_name_alone_is_its_url() -> None:
    """GCS_BUCKET_NAME means `gs://NAME`, unless BACKUP_URL says otherwise."""
    assert Settings.from_env({"GCS_BUCKET_NAME": "bucket"}).effective_backup_url == "gs://bucket"
    both = {"GCS_BUCKET_NAME": "bucket", "BACKUP_URL": "gs://other/x/"}
    assert Settings.from_env(both).effective_backup_url == "gs://other/x"
