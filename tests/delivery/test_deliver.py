from collections.abc import Iterator
from typing import Final

import pytest

from deployment import revisions
from deployment.calls import Calls
from deployment.checks import CHECKS
from deployment.deliver import Delivered, deliver, verified
from deployment.revisions import NotRolledBackError
from deployment.target import CannotCheckError, Target
from tests.infra.fake_google import IMAGE, FakeGoogle, google

NEXT: Final = "r/qdrant@sha256:" + "b" * 64
ACCOUNT: Final = "qdrant-deploy@acme-search.iam.gserviceaccount.com"


@pytest.fixture
def fake() -> Iterator[FakeGoogle]:
    """Serve a deployment in good order, as its first revision."""
    with google() as served:
        yield served


def calls(fake: FakeGoogle, *, account: str = "") -> Calls | None:
    """Return the calls to what is deployed now."""
    if not fake.deployed:
        return None
    target = Target.of_stack("dev", fake.command)
    return Calls(target, fake.command, fake.hosts, account=account, patience_seconds=1)


def delivered(fake: FakeGoogle) -> Delivered:
    """Deliver the next image."""
    return deliver(lambda: calls(fake), lambda: fake.deploy(NEXT))


def test_a_delivery_that_passes_stays(fake: FakeGoogle) -> None:
    """The new image serves, every check passed, and the traffic goes to the newest revision."""
    done = delivered(fake)

    assert done.passed
    assert len(done.results) == len(CHECKS)
    assert done.rolled_back == ""
    assert fake.template["containers"][0]["image"] == NEXT
    assert fake.traffic == [{"type": "LATEST", "percent": 100}]


def test_a_delivery_that_fails_goes_back_to_what_served(fake: FakeGoogle) -> None:
    """When the new revision is not well, all requests go to the very revision that served before, which is well."""
    fake.ill = {2, 3, 4}
    done = delivered(fake)

    assert not done.passed
    assert [result.title for result in done.results if not result.passed] == ["healthy"]
    assert fake.serving == 1
    assert done.rolled_back == "back: 1 serves, ok, role writer"


def test_going_back_twice_ends_at_the_same_revision(fake: FakeGoogle) -> None:
    """A second delivery that fails finds the revision that the first rollback left, not the newest one."""
    fake.ill = set(range(2, 20))
    delivered(fake)
    done = delivered(fake)

    assert not done.passed
    assert fake.serving == 1


def test_a_rollback_that_fails_is_told_and_not_hidden(fake: FakeGoogle) -> None:
    """When the earlier revision is not well either, the delivery fails and says that nothing was rolled back."""
    fake.ill = set(range(20))
    done = delivered(fake)

    assert not done.passed
    assert "NOT rolled back to 1" in done.rolled_back
    assert "503" in done.rolled_back


def test_a_first_delivery_has_nothing_to_go_back_to(fake: FakeGoogle) -> None:
    """Where nothing served before, a failed check is told and the traffic is left alone."""
    fake.deployed, fake.ill = False, set(range(20))
    done = delivered(fake)

    assert not done.passed
    assert done.rolled_back == "there was nothing before it to go back to"
    assert fake.traffic == [{"type": "LATEST", "percent": 100}]


def test_a_deployment_that_fails_by_itself_changes_no_traffic(fake: FakeGoogle) -> None:
    """When pulumi fails, nothing is verified and nothing rolled back: Cloud Run still serves what served."""

    def failing() -> None:
        raise CannotCheckError("pulumi up failed with status 255")

    with pytest.raises(CannotCheckError, match="pulumi up failed"):
        deliver(lambda: calls(fake), failing)
    assert fake.traffic == [{"type": "LATEST", "percent": 100}]
    assert fake.template["containers"][0]["image"] == IMAGE


def test_the_next_delivery_after_a_rollback_serves_the_newest(fake: FakeGoogle) -> None:
    """A rollback's traffic does not stay: the next deployment that is well gets the requests."""
    fake.ill = {2, 3, 4}
    delivered(fake)
    assert fake.serving == 1

    assert delivered(fake).passed
    assert fake.serving == fake.revisions


@pytest.mark.parametrize(("state", "serves"), [("CONDITION_RECONCILING", "1"), ("CONDITION_SUCCEEDED", "2")])
def test_a_revision_that_does_not_get_the_requests_is_not_called_rolled_back(
    fake: FakeGoogle, state: str, serves: str
) -> None:
    """When Cloud Run does not settle, or settles with another revision, the rollback says so and why that may be."""
    there = calls(fake)
    assert there
    fake.wrong["/v2/projects/acme-search/locations/europe-west1/services/qdrant-dev"] = (
        200,
        {
            "template": {},
            "latestCreatedRevision": "r/2",
            "latestReadyRevision": "r/1",
            "terminalCondition": {"state": state},
            "trafficStatuses": [{"percent": 100, "revision": serves}],
        },
    )

    with pytest.raises(NotRolledBackError, match="older Qdrant refuses"):
        revisions.roll_back(there, "1")


def test_an_account_without_a_key_identifies_itself_by_google_s_own_service(fake: FakeGoogle) -> None:
    """With an account named, the service is called with an identity token made for its URL and for that account."""
    there = calls(fake, account=ACCOUNT)
    assert there
    found = verified(there)

    assert all(result.passed for result in found)
    assert fake.tokens == {f"Bearer identity of {ACCOUNT} for {fake.base}"}
