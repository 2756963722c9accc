"""Whether an engine holds what a backup says: the check that a placed folder is what it should be.

Owns the comparison. A wrongly placed folder starts empty and ready, so nothing counts as restored before this.
"""

from runtime.engine.admin import Admin
from runtime.errors import EngineError
from runtime.repository.manifest import Manifest


async def differences(admin: Admin, manifest: Manifest) -> list[str]:
    """Return what differs in collections, aliases and exact counts, as sentences; empty when nothing does."""
    names, aliases = set(await admin.collections()), await admin.aliases()
    found = [f"collection {name!r} is missing" for name in sorted(manifest.collections.keys() - names)]
    found += [f"collection {name!r} is not in the backup" for name in sorted(names - manifest.collections.keys())]
    if aliases != dict(manifest.aliases):
        found.append(f"aliases are {aliases}, not {dict(manifest.aliases)}")
    for name in sorted(manifest.collections.keys() & names):
        expected = manifest.collections[name].points
        if expected is not None and (count := await admin.count(name)) != expected:
            found.append(f"collection {name!r} has {count} points, not {expected}")
    return found


def refuse_newer(manifest: Manifest, engine_version: str | None) -> None:
    """Refuse a backup whose engine was a newer minor version: nobody promises that it opens. Raises EngineError."""
    if engine_version and _minor(manifest.qdrant_version) > _minor(engine_version):
        raise EngineError(
            f"the backup was made by Qdrant {manifest.qdrant_version}, this is {engine_version}",
            hint=f"Deploy the image with Qdrant v{manifest.qdrant_version}",
        )


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
