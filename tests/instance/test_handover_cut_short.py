"""SIGTERM in the middle of a hand-over: to the one that lets go, to the one that comes, to both."""

import signal

from tests.support.history import head, linear_history
from tests.support.instances import Fleet, Instance, eventually
from tests.support.strict_gcs import StrictGcs, Wire
from tests.support.strict_objects import Asked
from tests.support.workload import make, numbers, put_numbers

# Nothing is saved before it has to be, and a test that has to wait for a time-out fails.
SETTINGS = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60", "HANDOVER_TIMEOUT_SECONDS": "60"}
POINTS = set(range(1, 21))


def about(asked: Asked, prefix: str) -> bool:
    """Tell whether a request creates an object below a prefix."""
    return asked.method == "POST" and prefix.encode() in asked.body[:1000] + str(asked.query).encode()


class Stuck:
    """Leaves requests that create objects below a prefix without an answer: the first, or all of them."""

    def __init__(self, strict: StrictGcs, prefix: str, *, most: int = 1) -> None:
        self.requests: list[Asked] = []
        self._prefix = prefix
        self._most = most
        strict.plan = self

    def __call__(self, asked: Asked) -> Wire | None:
        """Be the plan of the strict server."""
        if len(self.requests) < self._most and about(asked, self._prefix):
            self.requests.append(asked)
            return Wire.SILENCE
        return None


def filled(fleet: Fleet) -> Instance:
    """Start a writer, and have it acknowledge points that are in no backup."""
    writer = fleet.start(**SETTINGS)
    make(writer, "c")
    put_numbers(writer, "c", range(1, 21))
    return writer


def test_sigterm_to_the_writer_that_lets_go_ends_the_hand_over_well(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """Its last increment hangs when the signal comes: it is made anew, and the newcomer waits for no time-out."""
    writer = filled(strict_fleet)
    stuck = Stuck(strict, "packs/")
    newcomer = strict_fleet.start(role=None, **SETTINGS)
    writer.event("handover.yielding")
    eventually(lambda: stuck.requests, 20, "the last increment is on its way")
    status, seconds = writer.terminate()
    assert status == 0, str(writer)
    assert seconds < 8
    assert writer.events("shutdown.saved"), str(writer)
    newcomer.wait_for("writer")
    assert newcomer.health()["restore"]["forced"] is False
    assert numbers(newcomer, "c") == POINTS
    put_numbers(newcomer, "c", range(21, 31))
    linear_history(newcomer.settings)


def test_sigterm_to_the_newcomer_that_waits_takes_nothing_from_the_writer(
    strict_fleet: Fleet, strict: StrictGcs
) -> None:
    """It has asked and is gone: the one before it has every write, and takes new ones before long."""
    writer = filled(strict_fleet)
    stuck = Stuck(strict, "packs/")
    newcomer = strict_fleet.start(role=None, **SETTINGS)
    eventually(lambda: stuck.requests, 20, "the last increment is on its way")
    epoch = head(writer.settings).epoch
    status, seconds = newcomer.terminate()
    assert status == 0, str(newcomer)
    assert seconds < 8
    assert head(writer.settings).epoch == epoch, "nothing was claimed on the way out"
    assert head(writer.settings).requested_by is None, "nobody waits for it"
    strict.let_go()
    assert numbers(writer, "c") == POINTS
    body = {"points": [{"id": 21, "vector": [1, 1]}]}
    path = "/collections/c/points?wait=true"
    eventually(lambda: writer.ask("PUT", path, body).status_code == 200, 30, "it writes again")
    assert numbers(writer, "c") == POINTS | {21}
    linear_history(writer.settings)


def test_sigterm_to_a_newcomer_that_has_claimed_lets_the_next_one_start_at_once(
    strict_fleet: Fleet, strict: StrictGcs
) -> None:
    """The journal is to be done again when the signal comes: the lineage is given back as it was found."""
    writer = filled(strict_fleet)
    writer.kill()
    stuck = Stuck(strict, "journal/", most=1000)
    newcomer = strict_fleet.start(role=None, **{**SETTINGS, "HANDOVER_TIMEOUT_SECONDS": "1"})
    eventually(lambda: stuck.requests, 40, "the dead writer's journal is being sealed")
    assert head(writer.settings).epoch == 2, "it has claimed"
    status, seconds = newcomer.terminate()
    assert status == 0, str(newcomer)
    assert seconds < 8
    strict.plan = lambda _: None
    assert head(writer.settings).clean, str(newcomer)
    third = strict_fleet.start(**SETTINGS)
    assert third.health()["restore"]["forced"] is False
    assert numbers(third, "c") == POINTS
    linear_history(third.settings)


def test_sigterm_to_both_in_a_hand_over_leaves_everything_to_the_third(strict_fleet: Fleet, strict: StrictGcs) -> None:
    """A whole service is ended while its revisions change hands: both end in time, and nothing is lost."""
    writer = filled(strict_fleet)
    stuck = Stuck(strict, "packs/")
    newcomer = strict_fleet.start(role=None, **SETTINGS)
    eventually(lambda: stuck.requests, 20, "the last increment is on its way")
    writer.signal(signal.SIGTERM)
    newcomer.signal(signal.SIGTERM)
    assert writer.ended(8) == 0, str(writer)
    assert newcomer.ended(8) == 0, str(newcomer)
    found = head(writer.settings)
    assert (found.clean, found.requested_by) == (True, None)
    third = strict_fleet.start(**SETTINGS)
    assert numbers(third, "c") == POINTS
    linear_history(third.settings)
