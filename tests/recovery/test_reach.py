import asyncio
import datetime as dt

from runtime.prune import Pruned, prune
from runtime.reach import Reach, reach
from runtime.repository import names
from runtime.repository.retention import Policy
from runtime.run_sink import Progress
from tests.recovery.test_moments import made
from tests.support.past import START, Past


def minutes(past: Past) -> tuple[float | None, float | None]:
    """Return from when to when any moment can be reached, in minutes after the beginning."""
    found: Reach = asyncio.run(reach(past.repository, past.head))
    start, end = (None if at is None else (at - START).total_seconds() / 60 for at in (found.start, found.end))
    return start, end


def pruned(past: Past, window: int, *, dry_run: bool = False) -> Pruned:
    """Prune with a window of so many minutes, and keep no more backups than that needs."""
    policy = Policy(1, 0, 0, 0, dt.timedelta(), dt.timedelta(minutes=window))
    now = START + dt.timedelta(days=100)
    return asyncio.run(prune(past.repository, policy, Progress(), now=now, dry_run=dry_run))


STEPS = ("write", "save", *["write"] * 12, "save", "claim", *["write"] * 12, "save", "write", "claim", "write")


def test_what_can_be_reached_is_told() -> None:
    """From the oldest backup that the journal goes on from, to the last write; after a prune, from the window's own."""
    assert minutes(made(*STEPS)) == (2, 32)
    for window, start in ((20, 2), (14, 15), (0, 29)):
        past = made(*STEPS)
        pruned(past, window)
        assert minutes(past) == (start, 32)
    assert minutes(Past()) == (None, None)


def test_a_dry_run_names_the_objects_that_would_go() -> None:
    """And deletes none; then exactly these go, seals never."""
    past = made(*STEPS)
    before = set(past.bucket.objects)
    named = {names.journal(at.epoch, at.n) for at in pruned(past, window=14, dry_run=True).plan.journal}
    assert set(past.bucket.objects) == before

    pruned(past, window=14)
    assert {name for name in before - past.bucket.objects.keys() if name.startswith("journal/")} == named
    assert len(named) == 6
    assert not named & set(past.seals)
