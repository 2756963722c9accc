"""Whether an engine holds what a backup says: the check that a placed folder is what it should be.

Owns the comparison. A wrongly placed folder starts empty and ready, so nothing counts as restored before this.
"""

from runtime.changes import Delta
from runtime.engine.admin import Admin
from runtime.errors import EngineError
from runtime.repository.manifest import Manifest


async def differences(admin: Admin, manifest: Manifest, written: Delta | None = None) -> list[str]:
    """Return what differs in collections, aliases and exact counts, as sentences; empty when nothing does.

    What was `written` to since the manifest may differ, and is left out.
    """
    delta = written or Delta(everything=False, catalog=False, points=frozenset(), replaced=frozenset())
    if delta.everything:
        return []
    names, aliases = set(await admin.collections()), await admin.aliases()
    expected = manifest.collections.keys() - delta.replaced
    found = [f"collection {name!r} is missing" for name in sorted(expected - names)]
    extra = names - manifest.collections.keys() - delta.replaced
    found += [f"collection {name!r} is not in the backup" for name in sorted(extra)]
    if aliases != dict(manifest.aliases) and not delta.catalog and not delta.replaced:
        found.append(f"aliases are {aliases}, not {dict(manifest.aliases)}")
    through_alias = {manifest.aliases.get(name) for name in delta.points}
    for name in sorted((expected & names) - delta.points - through_alias):
        points = manifest.collections[name].points
        if points is not None and (count := await admin.count(name)) != points:
            found.append(f"collection {name!r} has {count} points, not {points}")
    return found


def refuse_newer(manifest: Manifest, engine_version: str | None) -> None:
    """Refuse a backup whose engine was a newer minor version: nobody promises that it opens. Raises EngineError."""
    if engine_version and _minor(manifest.qdrant_version) > _minor(engine_version):
        raise EngineError(
            f"the backup was made by Qdrant {manifest.qdrant_version}, this is {engine_version}",
            hint=f"Deploy the image with Qdrant v{manifest.qdrant_version}",
        )


def opens_snapshots_of(engine_version: str, made_by: str) -> bool:
    """Whether an engine takes snapshots of another: of its own minor version and of the one before."""
    (major, minor), (their_major, their_minor) = _minor(engine_version), _minor(made_by)
    return major == their_major and minor - their_minor in (0, 1)


def refuse_older(engine_version: str, made_by: str, what: str) -> None:
    """Refuse to hand data to an engine of an older minor version than it was made by. Raises EngineError."""
    if _minor(engine_version) < _minor(made_by):
        raise EngineError(
            f"{what} is Qdrant {engine_version}, and the data comes from Qdrant {made_by}",
            hint=f"Use Qdrant v{made_by} there, or a newer one of v{'.'.join(made_by.split('.')[:2])}",
        )


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
