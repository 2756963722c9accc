import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import cron, options, sizing
from components.problems import ConfigProblems
from tests.infra.stacks import DEV, LOCAL, PROD, parse

WRONG = [
    ("project", "", "pulumi config set project"),
    ("project", "123456789012", "project number"),
    ("project", "Acme Search", "not a Google Cloud project id"),
    ("region", "", "pulumi config set region"),
    ("region", "europe-west1-b", "pulumi config set region europe-west1"),
    ("region", "europe-wset4", "pulumi config set region europe-west4"),
    ("size", "tiny", "small, medium, large, xlarge"),
    ("environment", "production", "dev, prod, local"),
    ("name", "qdrant-for-the-whole-company", "at most 20"),
    ("name", "Qdrant", "pulumi config set name qdrant"),
    ("name", "google-qdrant", "Cloud Storage refuses"),
    ("protected", "yes", "true or false"),
    ("cpu", "3", "1, 2, 4, 6, 8"),
    ("cpu", "0.5", "whole number"),
    ("memory", "8", "pulumi config set memory 8Gi"),
    ("memory", "8Gi", "pulumi config set cpu 2"),
    ("memory", "64Gi", "pulumi config set memory 4Gi"),
    ("disk", "500Gi", "1Gi to 100Gi"),
    ("data", "2Gi", "pulumi config set memory 5Gi with cpu 2"),
    ("data", "40Gi", "pulumi config set disk 80Gi"),
    ("minInstances", "2", "from 0 to 1"),
    ("startupSeconds", "600", "pulumi config set startupSeconds 240"),
    ("requestTimeoutSeconds", "7200", "pulumi config set requestTimeoutSeconds 3600"),
    ("snapshotDeadlineSeconds", "3600", "from 15 to 1800"),
    ("snapshotDeadlineSeconds", "1800", "pulumi config set requestTimeoutSeconds 1800"),
    ("snapshotRetries", "9", "from 0 to 5"),
    ("snapshotSchedule", "every 6 hours", "five fields"),
    ("snapshotSchedule", "61 * * * *", "minute field"),
    ("timeZone", "Europe/Zuerich", "time zone database"),
    ("image", "europe-docker.pkg.dev/acme/q/qdrant:v1", "docker buildx imagetools inspect"),
    ("image", f"qdrant/qdrant@sha256:{'a' * 64}", "qdrantImage"),
    ("qdrantImage", "qdrant/qdrant:v1.19.0", "digest"),
    ("invokers", "allUsers", "pulumi config set public true"),
    ("invokers", "you@example.com", "user:you@example.com"),
    ("ingress", "private", "internal"),
    ("apiKey", "short", "16 or more"),
    ("vpcNetwork", "default", "pulumi config set vpcSubnet"),
    ("vpcEgress", "all-traffic", "no network"),
    ("softDeleteDays", "3", "0 or 7 to 90"),
    ("secondRegion", "us-east1", "not a pair"),
    ("secondRegion", "europe-west2", "not a pair"),
    ("kmsKey", "my-key", "full name"),
    ("kmsKey", "projects/p/locations/us/keyRings/r/cryptoKeys/k", "locations/europe-west1"),
    ("backupPrefix", "/backups/", "small letters"),
    ("backupMaxAgeSeconds", "0", "from 5 to 3600"),
    ("alertEmails", "nobody", "not a mail address"),
    ("alertEmails", "ops@acme.example", "no alerts"),
    ("docsUrl", "docs.acme.example", "https:// address"),
    ("docsUrl", "https://docs.acme.example/#top", "https:// address"),
    ("collections", "docs/2024", "collection's name"),
    ("localAgentPort", "8080", "pulumi config set localAgentPort 8081"),
    ("snapshotSchedule", "never", "pulumi config set snapshotSchedule '0 */6 * * *'"),
    ("drillSchedule", "daily", "five fields"),
    ("pruneSchedule", "0 25 * * *", "hour field"),
    ("keepLast", "0", "pulumi config set keepLast 1"),
    ("keepDaily", "-1", "from 0 to 1000"),
    ("syncSource", "source:6333", "pulumi config set syncSource https://HOST:6333"),
    ("syncSource", "https://key@source:6333", "without user and key"),
    ("syncSourceKey", "k" * 20, "the key of no source"),
    ("syncSchedule", "* * * *", "this has 4"),
    ("readers", "101", "from 0 to 100"),
    ("minReaders", "1", "with readers = 0 there are none"),
    ("readerSize", "large", "pulumi config set readers 2"),
    ("readerInvokers", "user:you@example.com", "there are none"),
    ("readerInvokers", "allUsers", "pulumi config set public true"),
    ("billing", "request", "backups and hand-overs would not run"),
    ("cpuIdle", "true", "set minInstances to 0"),
    ("maxInstances", "3", "one instance writes"),
    ("minInstance", "1", "you may mean minInstances"),
]


@pytest.mark.parametrize(("key", "value", "told"), WRONG, ids=lambda text: str(text)[:40])
def test_a_wrong_value_is_told_with_its_key_its_value_and_the_fix(key: str, value: str, told: str) -> None:
    """One wrong value gives one problem about the place where it shows, with the value and a fix in it."""
    with pytest.raises(ConfigProblems) as caught:
        parse({**DEV, key: value})

    text = str(caught.value)
    secret = next((option.secret for option in options.every_option() if option.name == key), False)
    shown = f"(secret, {len(value)} characters)" if secret else value
    assert "1 problem in the configuration of stack dev; nothing was changed." in text
    assert shown in text
    assert told in text
    assert "Fix: " in text


def test_all_problems_are_told_at_once() -> None:
    """Every kind of wrong value in one configuration is reported in one error, none hides another."""
    wrong = {
        "project": "",
        "region": "mars",
        "cpu": "3",
        "timeZone": "Mars/Base",
        "image": "x:latest",
        "typo": "1",
    }
    with pytest.raises(ConfigProblems) as caught:
        parse(wrong)

    assert {problem.key for problem in caught.value.problems} == {*wrong}


def test_three_keys_are_enough() -> None:
    """Project, region and size configure a stack named after its environment."""
    config = parse({"project": "acme-search", "region": "europe-west1", "size": "medium"}, stack="prod")

    assert config.environment == "prod"
    assert (config.cpu, config.memory_mib, config.min_instances, config.protected) == (2, 8192, 1, True)
    assert config.names.bucket == "acme-search-qdrant-prod-backups"


def test_a_stack_whose_name_tells_no_environment_asks_for_it() -> None:
    """Whether a stack is production is never guessed."""
    with pytest.raises(ConfigProblems, match="the stack's name, alice, does not tell it"):
        parse({"project": "acme-search", "region": "europe-west1"}, stack="alice")


def test_a_long_stack_name_is_answered_with_a_name_that_fits() -> None:
    """The name derived from a stack is checked like one that was given, and the advice passes the check."""
    values = {**DEV, "environment": "dev"}
    with pytest.raises(ConfigProblems) as caught:
        parse(values, stack="Feature_Branch/with.a.very.long.name")
    advice = caught.value.problems[0].fix.removeprefix("pulumi config set name ")

    assert parse({**values, "name": advice}).name == advice


def test_the_provider_s_own_project_and_region_are_enough() -> None:
    """`gcp:project` and `gcp:region` count, and the project's own keys win over them."""
    provider = {"gcp:project": "acme-search", "gcp:region": "us-east1", "project": "", "region": ""}

    assert parse(provider).region == "us-east1"
    assert parse({**provider, "region": "us-west1"}).region == "us-west1"


def test_the_local_stack_needs_no_cloud_keys() -> None:
    """Neither project nor region is asked for on one's own machine."""
    assert parse(LOCAL, stack="local").project == "local"


def test_public_without_a_key_is_refused() -> None:
    """A service that everybody reaches and nobody guards is not deployed."""
    with pytest.raises(ConfigProblems, match="anybody could read and delete"):
        parse({**DEV, "public": "true", "apiKeys": "false"})


def test_production_without_a_key_is_refused() -> None:
    """IAM alone is for development."""
    with pytest.raises(ConfigProblems, match="production is never without a key"):
        parse({**PROD, "apiKeys": "false"})


def test_a_key_stored_in_clear_is_refused_and_not_repeated() -> None:
    """An API key without --secret is in a file that gets committed; the message does not show it again."""
    with pytest.raises(ConfigProblems) as caught:
        parse({**DEV, "apiKey": "hunter2-hunter2-hunter2"}, secret=frozenset())

    assert "pulumi config set --secret apiKey" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_read_only_key_that_equals_the_key_is_refused() -> None:
    """Two names of one key would let readers write."""
    with pytest.raises(ConfigProblems, match="so it could write"):
        parse({**DEV, "apiKey": "k" * 32, "readOnlyApiKey": "k" * 32})


def test_scaling_to_zero_is_sound_and_accepted_anywhere() -> None:
    """CPU is billed by instance, so an idle instance still takes its last backup: zero is a choice."""
    assert parse({**PROD, "minInstances": "0"}).min_instances == 0


def test_a_pair_of_regions_of_one_continent_is_accepted() -> None:
    """A dual-region bucket with a key in its multi-region is possible."""
    config = parse({**DEV, "secondRegion": "europe-west4", "kmsKey": "projects/p/locations/eu/keyRings/r/cryptoKeys/k"})

    assert config.second_region == "europe-west4"


@pytest.mark.parametrize("size", sizing.SIZES)
def test_every_size_is_accepted_and_holds_the_data_it_names(size: str) -> None:
    """The presets pass the rules that they spare people, and the data they announce fits."""
    config = parse({**DEV, "size": size})

    assert parse({**DEV, "size": size, "data": f"{config.data_mib}Mi"}).data_mib == config.data_mib
    with pytest.raises(ConfigProblems):
        parse({**DEV, "size": size, "data": f"{config.data_mib + 1}Mi"})


@given(st.integers(1, 9), st.integers(1, 40 * 1024))
def test_cloud_run_s_table_decides_every_pair(cpu: int, memory: int) -> None:
    """A pair is accepted exactly where Cloud Run's table has it."""
    low, high = sizing.CLOUD_RUN_TABLE.get(cpu, (1, 0))
    values = {**DEV, "cpu": str(cpu), "memory": f"{memory}Mi"}
    if low <= memory <= high:
        assert parse(values).memory_mib == memory
    else:
        with pytest.raises(ConfigProblems):
            parse(values)


@given(st.dictionaries(st.sampled_from([o.name for o in options.every_option()]), st.text(max_size=30), max_size=6))
def test_no_text_whatever_makes_reading_crash(values: dict[str, str]) -> None:
    """Any value of any key ends in a configuration or in problems, never in another error."""
    try:
        config = parse({**DEV, **values})
    except ConfigProblems as problems:
        told = problems.problems
    else:
        told = ()
        assert config.names.account("scheduler") == f"{config.name}-scheduler"
    assert all(problem.reason and problem.fix for problem in told)


@given(st.text(min_size=1, max_size=100))
def test_advised_names_always_fit(stack: str) -> None:
    """Whatever a stack is called, the advised name is accepted and the same each time."""
    from components.naming import base_from_stack, shortened

    advised = shortened(base_from_stack(stack).replace("goog", "g"))

    config = parse({**DEV, "name": advised})
    assert len(config.names.account("scheduler")) <= 30
    assert len(config.names.bucket) <= 63
    assert advised == shortened(base_from_stack(stack).replace("goog", "g"))


def test_a_configuration_cannot_be_changed_after_reading() -> None:
    """StackConfig is frozen: what was checked is what is deployed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse(DEV).project = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("0 */6 * * *", True),
        ("*/15 8-18 * * mon-fri", True),
        ("0 0 1 jan,jul *", True),
        ("0 0 * * 7", True),
        ("5/10 * * * *", False),
        ("0 24 * * *", False),
        ("0 0 0 * *", False),
        ("0 18-8 * * *", False),
        ("*/0 * * * *", False),
        ("@daily", False),
        ("", False),
        ("0 0 * * * *", False),
    ],
)
def test_schedules_are_those_that_cloud_scheduler_takes(expression: str, *, fits: bool) -> None:
    """Five fields, each in its range, names of months and days included."""
    assert (cron.cron_fault(expression) is None) is fits
