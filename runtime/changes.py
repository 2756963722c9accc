"""What the next backup has to look at: decided from what was written, what there is, and the newest manifest.

Owns the decision alone: no engine, no store, no clock.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from runtime.edge.gate import Written
from runtime.repository.manifest import CollectionEntry, Manifest

# Past this many packs a shard's files come from too many places; past half of their bytes dead they cost too much.
_MOST_PACKS = 32
_LIVE_SHARE = 0.5


class Scope(Enum):
    """How much of a collection is streamed."""

    NOTHING = "nothing"  # the newest manifest's entry stands
    CHANGES = "changes"  # what changed since that entry
    EVERYTHING = "everything"  # that entry says nothing about the collection as it is now


@dataclass(frozen=True, slots=True)
class Delta:
    """What was written between two moments, by collection as the writes named it (maybe by an alias)."""

    everything: bool
    catalog: bool
    points: frozenset[str]
    replaced: frozenset[str]

    @classmethod
    def between(cls, before: Written, after: Written) -> "Delta":
        """Return what the counts say happened from one moment to the other."""
        return cls(
            everything=after.everything > before.everything,
            catalog=after.catalog > before.catalog,
            points=frozenset(name for name, count in after.points.items() if count > before.points.get(name, 0)),
            replaced=frozenset(name for name, count in after.replaced.items() if count > before.replaced.get(name, 0)),
        )


def scopes(
    parent: Manifest | None, delta: Delta, collections: Collection[str], aliases: Mapping[str, str]
) -> dict[str, Scope]:
    """Return what to stream of each collection there is.

    A write through an alias marks what the alias means now and what it meant in the parent; when aliases changed in
    between, it could have meant anything else too, and everything is looked at. So could the name of a collection
    that was deleted or made in between: before or after, it may have been an alias for a while.
    """
    known = parent.collections if parent else {}

    def meant(names: frozenset[str]) -> set[str]:
        """Return the collections that these names mean now or meant in the parent."""
        old = parent.aliases if parent else {}
        return {target for name in names for target in (name, aliases.get(name), old.get(name)) if target}

    changed, replaced = meant(delta.points), meant(delta.replaced)
    collections_throughout = (set(collections) & known.keys()) - delta.replaced
    maybe_aliases = (delta.points - collections_throughout) | (delta.replaced - set(collections) - known.keys())
    look_at_all = delta.everything or (delta.catalog and bool(maybe_aliases))
    found = {}
    for name in collections:
        entry = known.get(name)
        if entry is None or name in replaced or is_worn(entry, parent):
            found[name] = Scope.EVERYTHING
        elif look_at_all or name in changed:
            found[name] = Scope.CHANGES
        else:
            found[name] = Scope.NOTHING
    return found


def is_worn(entry: CollectionEntry, manifest: Manifest | None) -> bool:
    """Whether a collection's packs are mostly dead bytes, or too many."""
    files = [file for shard in entry.shards.values() for file in shard.files.values()]
    packs = {file.pack for file in files}
    if manifest is None or len(packs) <= 1:
        return False
    total = sum(manifest.packs[pack].bytes for pack in packs)
    live = sum(file.stored for file in files)
    return len(packs) > _MOST_PACKS * max(len(entry.shards), 1) or live < _LIVE_SHARE * total - _small(len(files))


def _small(files: int) -> int:
    """Return what headers and padding of so many files may cost: no reason to move everything again."""
    return files * 2048
