import inspect
from typing import Any

import pytest
from qdrant_client import QdrantClient

from runtime import contract
from runtime.settings import Settings
from tests.infra.generated import ROOT
from tests.infra.inventory import STACKS
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV


def test_the_container_is_told_what_the_contract_says(dev: Recorder) -> None:
    """The service sets exactly the contract's variables and the two keys, and never PORT."""
    container = dev.only("cloudrunv2/service:Service").inputs["template"]["containers"][0]
    told = contract.environment(
        backup_url="", project="", collections="", allowed_callers="", caller_audiences="", service_access="",
        durability="", restore_policy="",
        backup_max_age_seconds="", runtime_environment="", log_level="",
    )  # fmt: skip

    names = {env["name"] for env in container["envs"]}
    assert names == {*told, contract.QDRANT_API_KEY, contract.QDRANT_READ_ONLY_API_KEY}
    assert container["ports"] == {"name": "h2c", "containerPort": contract.DEFAULT_PORT}
    for probe, route in (("startupProbe", contract.STARTUP_ROUTE), ("livenessProbe", contract.LIVE_ROUTE)):
        assert container[probe]["httpGet"] == {"path": route, "port": contract.DEFAULT_AGENT_PORT}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_what_the_service_sets_the_container_reads(stack: str) -> None:
    """The declared environment is a valid one for the container's settings, and means what was configured."""
    values = {
        **STACKS[stack],
        "collections": "docs, images",
        "backupMaxAgeSeconds": "30",
        "logLevel": "warning",
        "durability": "snapshot",
    }
    container = deploy(values, stack=stack).named("qdrant-service").inputs["template"]["containers"][0]
    settings = Settings.from_env({env["name"]: env.get("value", env["name"] * 2) for env in container["envs"]})

    assert settings.backup_url == f"gs://acme-search-qdrant-{stack}-backups/qdrant"
    assert settings.project == "acme-search"
    assert settings.collections == ("docs", "images")
    assert settings.allowed_callers == (f"qdrant-{stack}-scheduler@acme-search.iam.gserviceaccount.com",)
    assert (settings.backup_max_age_seconds, settings.log_level) == (30, "WARNING")
    assert not settings.keeps_journal
    assert settings.runtime_environment == ("production" if stack == "prod" else "development")
    assert settings.api_key != settings.read_only_api_key


def test_every_event_that_raises_an_alert_is_one_that_the_container_logs() -> None:
    """No alert waits for a name that nothing logs."""
    sources = "".join(path.read_text() for path in (ROOT / "runtime").rglob("*.py") if path.name != "contract.py")

    assert [event for event in contract.EVENTS.values() if f'"{event}"' not in sources] == []


def test_the_service_waits_for_what_a_start_needs(dev: Recorder) -> None:
    """A revision is made after the grants on bucket, keys and image: its first instance needs them."""
    service = dev.only("run:QdrantService")

    assert {
        "backups-writer-replaces-head",
        "backups-writer-adds",
        "keys-api-key-for-runtime",
        "image-reader",
    } <= set(service.dependencies)


def test_dev_scales_to_zero_and_always_has_cpu(dev: Recorder) -> None:
    """An idle dev instance goes away, and while it is there its backups have CPU."""
    service = dev.only("cloudrunv2/service:Service").inputs

    assert service["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 1}
    assert service["template"]["containers"][0]["resources"]["cpuIdle"] is False
    assert "scaling" not in service["template"]


def test_a_disk_is_a_preview_feature_without_drift() -> None:
    """Ephemeral disks need the launch stage, whose answer differs once they are GA: it is ignored."""
    service = deploy({**DEV, "disk": "20Gi"}).only("cloudrunv2/service:Service")

    assert service.inputs["launchStage"] == "BETA"
    assert "launchStage" in service.ignored
    assert service.inputs["template"]["volumes"][0]["emptyDir"] == {"medium": "DISK", "sizeLimit": "20Gi"}


def test_outputs_tell_what_a_person_needs_and_no_key(dev: Recorder) -> None:
    """URL, bucket, status page, a client snippet, and the commands that fetch a key and verify."""
    wanted = {"url", "bucket", "statusPage", "apiKeyCommand", "clientSnippet", "verifyCommand"}
    assert wanted <= set(dev.outputs)
    assert dev.outputs["apiKeyCommand"].endswith("--secret=qdrant-dev-api-key --project=acme-search")


@pytest.mark.parametrize(("public", "keyed"), [(False, True), (True, True), (False, False)])
def test_the_client_snippet_connects_with_what_the_service_asks_for(*, public: bool, keyed: bool) -> None:
    """The snippet calls the installed client with arguments it has: key and token each in its own header."""
    values = {**DEV, "public": str(public), "apiKeys": str(keyed)}
    snippet = deploy(values).outputs["clientSnippet"].replace("os.environ[", "environ[").replace("import os", "")
    given: dict[str, Any] = {}
    snippet = snippet.replace("from qdrant_client import QdrantClient", "").replace("QdrantClient(", "given.update(")
    exec(snippet, {"given": given, "environ": {"QDRANT_API_KEY": "key", "ID_TOKEN": "token"}})  # noqa: S102 - ours

    inspect.signature(QdrantClient).bind(**given)
    assert given["url"].startswith("https://qdrant-dev-")
    assert given["port"] == 443
    assert given.get("api_key") == ("key" if keyed else None)
    assert given.get("headers") == (None if public else {"X-Serverless-Authorization": "Bearer token"})
