"""What a stack costs in a month: a table of prices with their sources, and formulas over it.

Owns the arithmetic and the tables that docs/cost.md shows (`python -m local.reference` writes them). List prices in
US dollars without discounts and without the free tier unless a row says so; Google's calculator has today's.
"""

from dataclasses import dataclass
from typing import Final

from components.sizing import GIB, SIZES, Size, data_that_fits, quantity

PRICES_READ: Final = "November 2026"

HOURS: Final = 730.0
_SECONDS: Final = 3600.0

# cloud.google.com/run/pricing, instance-based billing, Tier 1.
CPU_SECOND: Final = 0.000018
GIB_SECOND: Final = 0.000002
FREE_CPU_SECONDS: Final = 240_000
FREE_GIB_SECONDS: Final = 450_000
# The same page has a price of its own for each Tier 2 region; they lie between these multiples of Tier 1.
TIER_2: Final = (1.2, 1.4)
# The ephemeral disk's page: for as long as the instance lives.
DISK_GIB_HOUR: Final = 0.000109589

# cloud.google.com/storage/pricing: Standard, per GB and month, the cheapest and the dearest of most regions.
STORED_GB: Final = (0.020, 0.023)
# Creating, overwriting and listing objects; reading one or asking about it.
CLASS_A: Final = 0.005 / 1000
CLASS_B: Final = 0.0004 / 1000

# cloud.google.com/run/docs/locations.
TIER_1_REGIONS: Final = frozenset(
    {"asia-east1", "asia-northeast1", "asia-northeast2", "asia-south1", "asia-southeast3", "europe-north1"}
    | {"europe-north2", "europe-southwest1", "europe-west1", "europe-west4", "europe-west8", "europe-west9"}
    | {"me-west1", "northamerica-south1", "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1"}
)

# A writer asks for HEAD this often (runtime.instance, with the default HANDOVER_TIMEOUT_SECONDS).
HEAD_POLL_SECONDS: Final = 2.0
# A backup of one changed shard creates a pack and a manifest and overwrites HEAD.
OBJECTS_OF_A_BACKUP: Final = 3
# Cloud Run keeps an idle instance about this long; the schedule wakes a sleeping one this often a day.
IDLE_HOURS: Final = 0.25
WAKES_A_DAY: Final = 4
DAYS: Final = HOURS / 24


@dataclass(frozen=True)
class Instance:
    """A running instance's use of Cloud Run for some hours of a month."""

    size: Size
    disk_gib: float = 0.0

    def cost(self, hours: float, *, tier: float = 1.0) -> float:
        """Return dollars for these hours at a multiple of Tier 1."""
        gib = self.size.memory_mib / GIB
        compute = hours * _SECONDS * (self.size.cpu * CPU_SECOND + gib * GIB_SECOND) * tier
        return compute + hours * self.disk_gib * DISK_GIB_HOUR

    def cost_after_free(self, hours: float) -> float:
        """Return dollars in Tier 1 for these hours with nothing else on the free tier of the billing account."""
        seconds, gib = hours * _SECONDS, self.size.memory_mib / GIB
        cpu = max(0.0, seconds * self.size.cpu - FREE_CPU_SECONDS)
        return cpu * CPU_SECOND + max(0.0, seconds * gib - FREE_GIB_SECONDS) * GIB_SECOND


def requests(backups: float, hours: float) -> float:
    """Return dollars for a month's requests to the bucket: that many backups, a writer up for these hours."""
    return backups * OBJECTS_OF_A_BACKUP * CLASS_A + hours * _SECONDS / HEAD_POLL_SECONDS * CLASS_B


def size_table() -> str:
    """Return the table of sizes."""
    rows = ["| `size` | vCPU | memory | data that fits | Tier 1 | Tier 2 |", "|---|---|---|---|---|---|"]
    for name, size in SIZES.items():
        always = Instance(size)
        low, high = (always.cost(HOURS, tier=tier) for tier in TIER_2)
        fits = data_that_fits(size.memory_mib, 0)
        rows.append(
            f"| `{name}` | {size.cpu} | {quantity(size.memory_mib)} | {fits / GIB:.3g} GiB "
            f"| ${always.cost(HOURS):,.0f} | ${low:,.0f} to ${high:,.0f} |"
        )
    return "\n".join(rows)


def sleeping_table() -> str:
    """Return the table of stacks that scale to zero."""
    rows = ["| Used | Hours up a month | `small` | `small`, free tier | `medium` |", "|---|---|---|---|---|"]
    woken = WAKES_A_DAY * IDLE_HOURS * DAYS
    small, medium = Instance(SIZES["small"]), Instance(SIZES["medium"])
    for used, hours in (
        ("never; the schedule wakes it", woken),
        ("2 hours a day", 2 * DAYS),
        ("8 hours a day", 8 * DAYS),
    ):
        rows.append(
            f"| {used} | {hours:.0f} | ${small.cost(hours):.2f} | ${small.cost_after_free(hours):.2f} "
            f"| ${medium.cost(hours):.2f} |"
        )
    return "\n".join(rows)


def request_table() -> str:
    """Return the table of what backing up costs in requests."""
    rows = ["| Writes | Backups a month | Requests a month |", "|---|---|---|"]
    hours_seconds = HOURS * _SECONDS
    for writes, backups in (
        ("none", 0.0),
        ("without a pause", hours_seconds / 30),
        ("one every 6 s: the worst", hours_seconds / 6),
    ):
        rows.append(f"| {writes} | {backups:,.0f} | ${requests(backups, HOURS):.2f} |")
    return "\n".join(rows)


def journal_table() -> str:
    """Return the table of what a journal costs in requests, each write in an object of its own."""
    rows = ["| Writes | Objects a month | A month |", "|---|---|---|"]
    for every, name in ((60, "one a minute"), (10, "six a minute"), (1, "one a second"), (0.1, "ten a second")):
        objects = HOURS * _SECONDS / every
        rows.append(f"| {name} | {objects:,.0f} | ${objects * CLASS_A:,.2f} |")
    return "\n".join(rows)


def storage_table() -> str:
    """Return the table of what kept data costs."""
    rows = ["| In the bucket | A month |", "|---|---|"]
    for gb in (1, 10, 50, 200):
        low, high = (gb * price for price in STORED_GB)
        rows.append(f"| {gb} GB | ${low:.2f} to ${high:.2f} |")
    return "\n".join(rows)


def region_table() -> str:
    """Return the list of the regions in the cheaper tier."""
    return ", ".join(f"`{region}`" for region in sorted(TIER_1_REGIONS)) + "."


TABLES: Final = {
    "sizes": size_table,
    "sleeping": sleeping_table,
    "requests": request_table,
    "journal": journal_table,
    "storage": storage_table,
    "tier-1": region_table,
}
