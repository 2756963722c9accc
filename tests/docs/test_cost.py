"""docs/cost.md can be computed by hand."""

import pytest

from components.regions import CLOUD_RUN_REGIONS
from components.sizing import GIB, SIZES, Size
from local import cost


@pytest.mark.parametrize(("cpu", "gib", "dollars"), [(1, 2, 57.8), (2, 4, 115.6), (2, 8, 136.7), (4, 16, 273.3)])
def test_an_instance_that_is_always_on_costs_what_googles_page_gives(cpu: int, gib: int, dollars: float) -> None:
    """The figures worked out from the published prices by hand, within ten cents."""
    assert cost.Instance(Size(cpu, gib * GIB)).cost(cost.HOURS) == pytest.approx(dollars, abs=0.1)


def test_cost_grows_with_hours_and_tier() -> None:
    """Twice the hours cost twice, Tier 2 its multiple, and the disk is added for the hours it is there."""
    small, with_disk = cost.Instance(SIZES["small"]), cost.Instance(SIZES["small"], disk_gib=20)

    assert small.cost(100) == pytest.approx(2 * small.cost(50))
    assert small.cost(100, tier=1.3) == pytest.approx(1.3 * small.cost(100))
    assert with_disk.cost(cost.HOURS) - small.cost(cost.HOURS) == pytest.approx(1.60, abs=0.01)


def test_the_free_tier_is_taken_off_and_never_paid_out() -> None:
    """Below it nothing is paid; above it exactly its worth is missing."""
    small = cost.Instance(SIZES["small"])
    worth = cost.FREE_CPU_SECONDS * cost.CPU_SECOND + cost.FREE_GIB_SECONDS * cost.GIB_SECOND

    assert small.cost_after_free(60) == 0
    assert small.cost(cost.HOURS) - small.cost_after_free(cost.HOURS) == pytest.approx(worth)


def test_requests_are_backups_and_looks_at_head() -> None:
    """A thousand backups of one shard are three thousand writes; a writer's hour is 1,800 looks."""
    assert cost.requests(1000, 0) == pytest.approx(3 * 0.005)
    assert cost.requests(0, 1) == pytest.approx(1.8 * 0.0004)


def test_every_region_has_its_tier() -> None:
    """Tier 1 names regions that Cloud Run has; all others are Tier 2."""
    assert cost.TIER_1_REGIONS <= CLOUD_RUN_REGIONS
    assert 10 < len(cost.TIER_1_REGIONS) < len(CLOUD_RUN_REGIONS)


def test_the_page_says_when_prices_were_read() -> None:
    """A reader can tell how old the table is."""
    from tests.docs.pages import ROOT

    assert f"as of {cost.PRICES_READ}" in (ROOT / "docs" / "cost.md").read_text()


def test_a_journal_costs_an_object_for_each_write() -> None:
    """One write a second is 2,628,000 objects a month, at Cloud Storage's price for making one."""
    assert "| one a second | 2,628,000 | $13.14 |" in cost.journal_table()
