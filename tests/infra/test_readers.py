import re

from runtime import contract
from runtime.settings import Settings
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV, PROD


def test_no_stack_has_readers_unless_it_is_told_to(dev: Recorder) -> None:
    """Without the key there is one service, no reader's account and no reader's grant."""
    assert [service.name for service in dev.all("cloudrunv2/service:Service")] == ["qdrant-service"]
    assert "reader@" not in str([r.inputs for r in dev.declared])


def test_readers_are_a_service_of_their_own_beside_the_one_writer(prod: Recorder) -> None:
    """Between one and three instances that only search, on the same image and data, while the writer stays one."""
    writer, readers = prod.named("qdrant-service").inputs, prod.named("readers-service").inputs

    assert readers["name"] == "qdrant-prod-readers"
    assert readers["scaling"] == {"minInstanceCount": 1, "maxInstanceCount": 3}
    assert writer["scaling"] == {"minInstanceCount": 1, "maxInstanceCount": 1}
    of_writer, of_readers = writer["template"]["containers"][0], readers["template"]["containers"][0]
    for same in ("image", "ports", "startupProbe", "livenessProbe", "resources", "volumeMounts"):
        assert of_readers[same] == of_writer[same]
    assert readers["template"]["serviceAccount"] == "qdrant-prod-reader@acme-search.iam.gserviceaccount.com"


def test_a_reader_is_told_that_it_is_one(prod: Recorder) -> None:
    """Its environment is valid, says reader, and names the writer's backups; the writer's says nothing of roles."""
    environments = []
    for name in ("qdrant-service", "readers-service"):
        container = prod.named(name).inputs["template"]["containers"][0]
        environments.append(
            Settings.from_env({env["name"]: env.get("value", env["name"] * 2) for env in container["envs"]})
        )
    writer, reader = environments

    assert (writer.instance_role, reader.instance_role) == ("auto", "reader")
    assert reader.backup_url == writer.backup_url
    assert reader.api_key == writer.api_key
    assert reader.service_access == "private"


def test_who_searches_may_call_the_readers_and_not_the_writer(prod: Recorder) -> None:
    """`readerInvokers` are let in by the readers alone, `invokers` by both, and the scheduler by the writer alone."""
    callers: dict[str, set[str]] = {}
    for grant in prod.all("serviceIamMember:ServiceIamMember"):
        assert grant.inputs["role"] == "roles/run.invoker"
        callers.setdefault(grant.inputs["name"], set()).add(grant.inputs["member"].partition("@")[0])

    app, search = "serviceAccount:app", "serviceAccount:search"
    assert callers["qdrant-prod-readers"] == {app, search}
    assert app in callers["qdrant-prod"]
    assert search not in callers["qdrant-prod"]
    assert "serviceAccount:qdrant-prod-scheduler" in callers["qdrant-prod"]


def test_readers_have_a_size_of_their_own_and_the_writer_s_disk() -> None:
    """With readerSize they are larger than the writer; the disk, where there is one, is as large."""
    readers = deploy({**DEV, "readers": "2", "readerSize": "large", "disk": "4Gi"}).named("readers-service").inputs

    assert readers["template"]["containers"][0]["resources"]["limits"] == {"cpu": "4", "memory": "16Gi"}
    assert readers["template"]["volumes"][0]["emptyDir"] == {"medium": "DISK", "sizeLimit": "4Gi"}
    assert readers["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 2}


def test_a_public_stack_s_readers_check_keys_and_share_no_audience() -> None:
    """Readers of a public service are public too; the audience of tokens stays with the service that takes them."""
    public = deploy({**DEV, "public": "true", "readers": "1"})

    assert public.named("readers-service").inputs["invokerIamDisabled"] is True
    assert "customAudiences" not in public.named("readers-service").inputs
    assert public.named("qdrant-service").inputs["customAudiences"]
    container = public.named("readers-service").inputs["template"]["containers"][0]
    told = {env["name"]: env.get("value", env["name"] * 2) for env in container["envs"]}
    assert Settings.from_env(told).service_access == "public"


def test_readers_are_watched_beside_the_writer(prod: Recorder) -> None:
    """Memory, errors, slow starts and none at all have alerts of their own; several of them raise no alarm."""
    titles = {policy.inputs["displayName"].partition(": ")[2]: policy for policy in prod.all(":AlertPolicy")}
    of_readers = {title for title in titles if title.startswith("Readers: ")}

    assert of_readers == {
        "Readers: Memory nearly full",
        "Readers: Server errors",
        "Readers: Start near the probe's limit",
        "Readers: No instance",
    }
    assert "More than one instance" in titles
    for title in of_readers:
        filtered = titles[title].inputs["conditions"][0]["conditionThreshold"]["filter"]
        assert re.findall(r'service_name="([^"]+)"', filtered) == ["qdrant-prod-readers"]


def test_what_a_reader_logs_is_counted_and_raises_the_same_alerts(prod: Recorder) -> None:
    """The alerts on events and the metrics of events look at both services."""
    metrics = [metric.inputs["filter"] for metric in prod.all("logging/metric:Metric")]
    restore = prod.named("monitoring-restore-failed-or-fell-back").inputs["conditions"][0]["conditionMatchedLog"]

    assert len(metrics) == len(contract.EVENTS)
    for text in (*metrics, restore["filter"]):
        assert '("qdrant-prod" OR "qdrant-prod-readers")' in text


def test_the_readers_address_is_an_output() -> None:
    """People find the readers' URL where they find the writer's."""
    assert "readersUrl" not in deploy(DEV).outputs
    assert deploy(PROD, stack="prod").outputs["readersUrl"].startswith("https://qdrant-prod-readers-")
