import json
import re
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import cron, sizing
from components.problems import ConfigProblems
from runtime import contract
from runtime.cli import cli
from runtime.settings import Settings
from tests.infra.inventory import STACKS
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import DEV, PROD, parse

ROLES = ("verify", "prune", "sync")


def task(recorder: Recorder, role: str) -> dict[str, Any]:
    """Return the task of a job."""
    found: dict[str, Any] = recorder.named(f"jobs-{role}").inputs["template"]["template"]
    return found


def told(recorder: Recorder, role: str) -> dict[str, str]:
    """Return a job's environment; of a secret its name and version."""
    envs = task(recorder, role)["containers"][0]["envs"]
    return {env["name"]: env.get("value", str(env.get("valueSource")).replace(" ", "")) for env in envs}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_job_runs_is_a_command_of_the_image(prod: Recorder, role: str) -> None:
    """The declared arguments are ones that `python -m runtime` understands."""
    command: click.Command | None = cli
    arguments = list(task(prod, role)["containers"][0]["args"])
    if role == "sync" and "sync" not in cli.commands:
        pytest.skip("the command sync is not here yet")
    while isinstance(command, click.Group):
        _, command, arguments = command.resolve_command(click.Context(command), arguments)
    assert command is not None
    command.make_context(command.name, arguments)


def test_pruning_keeps_what_was_configured() -> None:
    """The four keep keys reach the command as the numbers they are."""
    recorder = deploy({**DEV, "keepLast": "3", "keepHourly": "0", "keepDaily": "14", "keepWeekly": "8"})
    command = cli.commands["prune"]
    context = command.make_context("prune", list(task(recorder, "prune")["containers"][0]["args"][1:]))

    kept = [context.params[f"keep_{kind}"] for kind in ("last", "hourly", "daily", "weekly")]
    assert kept == [3, 0, 14, 8]
    assert context.params["dry_run"] is False


@pytest.mark.parametrize("role", ROLES)
def test_a_job_works_on_the_bucket_that_the_service_writes(prod: Recorder, role: str) -> None:
    """What a job is told is valid in production, names the service's backups, and holds none of Qdrant's keys."""
    service = prod.named("qdrant-service").inputs["template"]["containers"][0]
    given = {env["name"]: env.get("value") for env in service["envs"]}
    settings = Settings.from_env(told(prod, role), serves=False)

    assert settings.backup_url == given[contract.BACKUP_URL]
    assert settings.runtime_environment == "production"
    assert task(prod, role)["containers"][0]["image"] == service["image"]
    assert not {contract.QDRANT_API_KEY, contract.QDRANT_READ_ONLY_API_KEY} & told(prod, role).keys()


def test_the_source_s_key_is_a_secret_of_the_pull_alone(prod: Recorder) -> None:
    """The key is in Secret Manager, referred to by version in one job, and nowhere in clear."""
    assert "secretKeyRef" in told(prod, "sync")[contract.SOURCE_API_KEY]
    assert told(prod, "sync")[contract.SOURCE_URL] == PROD["syncSource"]
    for role in ("verify", "prune"):
        assert not [name for name in told(prod, role) if name.startswith("SOURCE")]
    elsewhere = [r.inputs for r in prod.declared if not r.type.endswith("SecretVersion")]
    assert PROD["syncSourceKey"] not in str([elsewhere, prod.outputs])
    assert "secretDataWo" in prod.named("keys-source-api-key-version").secret


@pytest.mark.parametrize("role", ROLES)
def test_each_job_is_an_account_of_its_own(prod: Recorder, role: str) -> None:
    """A job runs as its role's account, and only the scheduler's account may start it."""
    assert task(prod, role)["serviceAccount"] == f"qdrant-prod-{role}@acme-search.iam.gserviceaccount.com"
    starters = [g.inputs for g in prod.all("jobIamMember:JobIamMember") if g.inputs["name"] == f"qdrant-prod-{role}"]
    assert [(grant["role"], grant["member"].partition("@")[0]) for grant in starters] == [
        ("roles/run.invoker", "serviceAccount:qdrant-prod-scheduler")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_a_job_is_started_by_the_clock_with_an_access_token(prod: Recorder, role: str) -> None:
    """The schedule posts to the job's own address at Google with the scheduler's token, and sends no header."""
    schedule = prod.named(f"schedule-{role}").inputs
    target = schedule["httpTarget"]

    assert target["uri"] == (
        f"https://run.googleapis.com/v2/projects/acme-search/locations/europe-west1/jobs/qdrant-prod-{role}:run"
    )
    assert target["oauthToken"]["serviceAccountEmail"].startswith("qdrant-prod-scheduler@")
    assert "oidcToken" not in target
    assert "headers" not in target
    assert cron.cron_fault(schedule["schedule"]) is None


def test_what_is_off_can_still_be_run_by_hand() -> None:
    """Schedules that are off are not there, the jobs are; without a source there is nothing to pull."""
    off = deploy({**DEV, "snapshotSchedule": "off", "drillSchedule": "off", "pruneSchedule": "off"})

    assert off.all("cloudscheduler/job:Job") == []
    assert {job.name for job in off.all("cloudrunv2/job:Job")} == {"jobs-verify", "jobs-prune"}


def test_the_defaults_are_a_backup_each_six_hours_and_drill_and_prune_each_day(dev: Recorder) -> None:
    """With nothing configured a snapshot is asked for every six hours, drill and prune run daily, nothing is pulled."""
    times = {job.name: job.inputs["schedule"] for job in dev.all("cloudscheduler/job:Job")}

    assert times == {
        "schedule-snapshot": "0 */6 * * *",
        "schedule-verify": "0 3 * * *",
        "schedule-prune": "30 4 * * *",
    }


@pytest.mark.parametrize("values", [{}, {"size": "large"}, {"disk": "40Gi", "memory": "8Gi", "cpu": "2"}], ids=str)
def test_a_drill_has_the_room_of_the_service(values: dict[str, str]) -> None:
    """CPU, memory, and the volume at the container's data folder are the service's own."""
    recorder = deploy({**DEV, **values})
    serves = recorder.named("qdrant-service").inputs["template"]
    drill = task(recorder, "verify")
    limits = serves["containers"][0]["resources"]["limits"]

    assert drill["containers"][0]["resources"]["limits"] == limits
    assert [volume["emptyDir"] for volume in drill["volumes"]] == [volume["emptyDir"] for volume in serves["volumes"]]
    assert drill["containers"][0]["volumeMounts"][0]["mountPath"] == contract.DATA_DIR
    assert "launchStage" in recorder.named("jobs-verify").ignored or "disk" not in values


@given(st.integers(1, 100 * 1024))
def test_more_data_is_given_more_time(data_mib: int) -> None:
    """Whatever fits, a drill and a pull have the time that moving it at a known rate takes, and less than a week."""
    for seconds, rate in ((sizing.drill_seconds, 20), (sizing.sync_seconds, 2)):
        assert data_mib / rate + 600 < seconds(data_mib) < 7 * 86400
        assert seconds(data_mib + 1024) > seconds(data_mib)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("0 3 * * *", 24),
        ("*/5 * * * *", 24),
        ("0 3 * * sun", 7 * 24),
        ("0 3 * * mon-fri", 7 * 24),
        ("0 3 1 * *", 31 * 24),
        ("0 3 1 jan *", 366 * 24),
    ],
)
def test_the_longest_pause_of_a_schedule_is_bounded(expression: str, hours: int) -> None:
    """A day where only minute and hour are told, a week, a month, a year where more is."""
    assert cron.longest_pause_hours(expression) == hours


def policies(recorder: Recorder) -> dict[str, Any]:
    """Return the alert policies by title."""
    return {policy.inputs["displayName"].partition(": ")[2]: policy.inputs for policy in recorder.all(":AlertPolicy")}


def test_every_job_is_watched_for_failing_and_for_not_running(prod: Recorder) -> None:
    """Each of the three has an alert on failure and one on absence, with names that a runbook can have."""
    named = {f"{title} {what}" for title in ("Drill", "Prune", "Sync") for what in ("failed", "missing")}

    assert named <= policies(prod).keys()
    assert policies(prod)["Drill failed"]["severity"] == "CRITICAL"


@pytest.mark.parametrize(("role", "title"), [("verify", "Drill"), ("prune", "Prune"), ("sync", "Sync")])
def test_a_job_s_errors_and_its_schedule_s_raise_the_alert(prod: Recorder, role: str, title: str) -> None:
    """Any line of severity ERROR of the job counts, and a start by the clock that failed."""
    (condition,) = policies(prod)[f"{title} failed"]["conditions"]
    terms = condition["conditionMatchedLog"]["filter"].removeprefix("(").removesuffix(")").split(") OR (")

    assert terms == [
        f'resource.type="cloud_run_job" AND resource.labels.job_name="qdrant-prod-{role}" AND severity>=ERROR',
        f'resource.type="cloud_scheduler_job" AND resource.labels.job_id="qdrant-prod-{role}" AND severity>=ERROR',
    ]


def test_a_job_that_is_not_scheduled_is_not_missed() -> None:
    """What runs by hand raises no alarm for not running; its failure still does."""
    found = policies(deploy({**PROD, "drillSchedule": "off"}, stack="prod"))

    assert "Drill missing" not in found
    assert "Drill failed" in found


def test_absence_is_told_after_the_schedule_s_own_pause() -> None:
    """A weekly drill is missed after a week, two hours and its own time-out, and only if it ever succeeded."""
    weekly = policies(deploy({**PROD, "drillSchedule": "0 3 * * sun"}, stack="prod"))["Drill missing"]
    query = weekly["conditions"][0]["conditionPrometheusQueryLanguage"]["query"]
    windows = [int(hours) for hours in re.findall(r"\[(\d+)h\]", query)]

    assert windows == [7 * 24 + 2 + 1, 7 * 24 + 2 + 1 + 30 * 24]
    assert query.count('job_name="qdrant-prod-verify",location="europe-west1",result="succeeded"') == 2
    assert query.endswith(">= 1")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_dashboard_shows_the_jobs(stack: str) -> None:
    """There is a chart of what succeeded and one of what failed, by job, and the panel of errors has their lines."""
    recorder = deploy({**STACKS[stack], "monitoring": "true"}, stack=stack)
    tiles = json.loads(recorder.only(":Dashboard").inputs["dashboardJson"])["mosaicLayout"]["tiles"]
    widgets = {tile["widget"]["title"]: str(tile["widget"]) for tile in tiles}
    names = [job.inputs["name"] for job in recorder.all("cloudrunv2/job:Job")]

    for title in ("Jobs that succeeded", "Jobs that failed", "Warnings and errors"):
        assert [name for name in names if name not in widgets[title]] == []


@pytest.mark.parametrize("problem", [{"readers": "2", "readerSize": "small", "data": "3Gi", "size": "medium"}])
def test_readers_too_small_for_the_data_are_refused(problem: dict[str, str]) -> None:
    """Each reader holds everything, so a size that holds less is told before it is deployed."""
    with pytest.raises(ConfigProblems, match="each reader holds all of the data, 3Gi"):
        parse({**DEV, **problem})


def test_more_readers_at_least_than_at_most_are_refused() -> None:
    """The minimum cannot exceed the number of readers."""
    with pytest.raises(ConfigProblems, match="pulumi config set minReaders 2"):
        parse({**DEV, "readers": "2", "minReaders": "3"})
