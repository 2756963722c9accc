"""Whether the packs that a manifest names are in the store, as the store itself describes them.

Owns that comparison: sizes and CRC32C out of one listing, no request for each pack and no download.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.repository import names
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.repository.store import ObjectInfo


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it should be: the object (or part) it was found in, and what is wrong with it."""

    what: str
    problem: str


def damaged_packs(manifest: Manifest, there: Mapping[str, ObjectInfo]) -> tuple[Damage, ...]:
    """Return which of a manifest's packs are missing, or are not the objects that were written."""
    found = []
    for name, pack in sorted(manifest.packs.items()):
        info = there.get(name)
        if info is None:
            found.append(Damage(name, "is missing"))
        elif info.size != pack.bytes:
            found.append(Damage(name, f"has {info.size:,} bytes, not {pack.bytes:,}"))
        elif info.crc32c != pack.crc32c:
            found.append(Damage(name, f"has CRC32C {info.crc32c}, not {pack.crc32c}"))
    return tuple(found)


async def packs_there(repository: Repository, manifest: Manifest) -> dict[str, ObjectInfo]:
    """Return what the store says of a manifest's packs: one listing."""
    return {info.name: info async for info in repository.objects(names.PACKS) if info.name in manifest.packs}
