"""Where Cloud Run runs, and which regions share a continent in Cloud Storage.

Facts of the platform as of November 2026; a region opened later is added here. Owns no rule but membership.
"""

import difflib
from typing import Final

_PLACES: Final = {
    "africa": ("south1",),
    "asia": (
        *("east1", "east2", "northeast1", "northeast2", "northeast3"),
        *("south1", "south2", "southeast1", "southeast2", "southeast3"),
    ),
    "australia": ("southeast1", "southeast2"),
    "europe": (
        *("central2", "north1", "north2", "southwest1", "west1", "west2", "west3", "west4", "west6"),
        *("west8", "west9", "west10", "west12"),
    ),
    "me": ("central1", "central2", "west1"),
    "northamerica": ("northeast1", "northeast2", "south1"),
    "southamerica": ("east1", "west1"),
    "us": ("central1", "east1", "east4", "east5", "south1", "west1", "west2", "west3", "west4"),
}
CLOUD_RUN_REGIONS: Final = frozenset(f"{area}-{place}" for area, places in _PLACES.items() for place in places)

# Areas whose regions can be paired in one bucket, with the multi-region they belong to.
_PAIRABLE: Final = {"us": "US", "europe": "EU", "asia": "ASIA"}
_NEVER_PAIRED: Final = frozenset(
    {"asia-east2", "asia-northeast3", "asia-southeast3", "europe-north2", "europe-west2", "europe-west6"}
    | {"europe-west10", "europe-west12"}
)


def continent(region: str) -> str | None:
    """Return the multi-region in which this region can be half of a pair, None where it cannot."""
    return None if region in _NEVER_PAIRED else _PAIRABLE.get(region.partition("-")[0])


def nearest(text: str) -> str:
    """Return the region most like what was written."""
    zone = text.rsplit("-", 1)[0]
    if zone in CLOUD_RUN_REGIONS:
        return zone
    close = difflib.get_close_matches(text, sorted(CLOUD_RUN_REGIONS), n=1, cutoff=0.5)
    return close[0] if close else "europe-west1"
