"""The whole storage folder: collections by name, aliases, who this peer is.

Owns what spans collections. Starts with whatever lies in the folder.
"""

import secrets
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from local.engine.collection import Collection
from local.engine.files import read_json, write_json
from local.engine.refusal import Json, Refusal, conflict, field, malformed, not_found, wrong_input


class Node:
    """One embedded engine's data."""

    def __init__(self, storage: Path, snapshots: Path) -> None:
        self.snapshots = snapshots
        self.temporary = snapshots / "tmp"
        for scratch in (self.temporary, storage / "tmp"):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
        self._storage = storage
        self._folder = storage / "collections"
        self._folder.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self.peer = _peer(storage / "raft_state.json")
        self._aliases: dict[str, str] = read_json(storage / "aliases" / "data.json") or {}
        if not self._aliases:
            write_json(storage / "aliases" / "data.json", {})
        self._collections: dict[str, Collection] = {}
        for folder in sorted(self._folder.iterdir()):
            self._open(folder)

    def _open(self, folder: Path) -> None:
        if not folder.is_dir():
            return
        if not (folder / "config.json").exists():
            print(
                f"WARN Collection config is not found in the collection directory: {folder}, skipping",
                file=sys.stderr,
            )
            return
        self._collections[folder.name] = Collection(folder, self.peer)

    def collections(self) -> list[Collection]:
        """Answer all collections, by name."""
        return [self._collections[name] for name in sorted(self._collections)]

    def collection(self, name: str) -> Collection:
        """Answer a collection by its name or an alias."""
        found = self._collections.get(self._aliases.get(name, name))
        if found is None:
            raise not_found(f"Collection `{name}` doesn't exist!")
        return found

    def exists(self, name: str) -> bool:
        """Answer whether there is a collection of that name or alias."""
        return self._aliases.get(name, name) in self._collections

    def create(self, name: str, body: Json) -> bool:
        """Make a collection."""
        if "/" in name or name in (".", ".."):
            raise Refusal(422, "Validation error in path parameters: [name: collection name is not a file name]")
        with self._lock:
            if name in self._collections:
                raise conflict(f"Collection `{name}` already exists!")
            if name in self._aliases:
                raise wrong_input(f"Can't create collection with name {name}. Alias with the same name already exists")
            folder = self._folder / name
            shutil.rmtree(folder, ignore_errors=True)
            try:
                self._collections[name] = Collection.create(folder, body, self.peer)
            except Exception:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return True

    def delete(self, name: str) -> bool:
        """Drop a collection, with the aliases that point at it; answer whether there was one."""
        with self._lock:
            gone = self._collections.pop(name, None)
            if gone is None:
                return False
            gone.close()
            self._save_aliases({alias: target for alias, target in self._aliases.items() if target != name})
            grave = self._storage / "tmp" / f"{name}-{secrets.token_hex(4)}"
            (self._folder / name).rename(grave)
        shutil.rmtree(grave)
        return True

    def replace(self, name: str, source: Path) -> None:
        """Put the collection that lies in `source` where `name` is, or would be."""
        self.delete(name)
        with self._lock:
            source.rename(self._folder / name)
            self._open(self._folder / name)

    def restore(self, source: IO[bytes], name: str, unpack: Callable[[IO[bytes], Path], None]) -> None:
        """Unpack a snapshot before anything is served; a failure leaves its half, as with the real one."""
        half = self._folder / f"{name}.tmp"
        half.mkdir(exist_ok=True)
        unpack(source, half)
        self.replace(name, half)

    def aliases(self, collection: str | None = None) -> list[Json]:
        """Answer all aliases, or those of one collection."""
        return [
            {"alias_name": alias, "collection_name": target}
            for alias, target in sorted(self._aliases.items())
            if collection in (None, target)
        ]

    def change_aliases(self, body: Json) -> bool:
        """Apply alias actions, all or none."""
        with self._lock:
            aliases = dict(self._aliases)
            for action in field(body, "actions"):
                if not isinstance(action, dict) or len(action) != 1:
                    raise malformed("data did not match any variant of untagged enum AliasOperations")
                ((kind, change),) = action.items()
                self._change_alias(aliases, kind, change)
            self._save_aliases(aliases)
        return True

    def _change_alias(self, aliases: dict[str, str], kind: str, change: Json) -> None:
        if kind == "create_alias":
            target, alias = field(change, "collection_name"), field(change, "alias_name")
            if alias in self._collections:
                raise conflict(f"Collection `{alias}` already exists!")
            if target not in self._collections:
                raise not_found(f"Collection `{target}` doesn't exist!")
            aliases[alias] = target
        elif kind == "delete_alias":
            aliases.pop(field(change, "alias_name"), None)
        elif kind == "rename_alias":
            old, new = field(change, "old_alias_name"), field(change, "new_alias_name")
            if old not in aliases:
                raise not_found(f"Alias {old} does not exists!")
            aliases[new] = aliases.pop(old)
        else:
            raise malformed("data did not match any variant of untagged enum AliasOperations")

    def _save_aliases(self, aliases: dict[str, str]) -> None:
        if aliases != self._aliases:
            write_json(self._storage / "aliases" / "data.json", aliases)
            self._aliases = aliases

    def settle(self) -> None:
        """Do what is to be done behind the answers."""
        for collection in self.collections():
            collection.settle()


def _peer(path: Path) -> int:
    state = read_json(path)
    if state is None:
        peer = secrets.randbits(53)
        conf = {
            "voters": [peer],
            "learners": [],
            "voters_outgoing": [],
            "learners_next": [],
            "auto_leave": False,
        }
        state = {
            "state": {"hard_state": {"term": 0, "vote": 0, "commit": 0}, "conf_state": conf},
            "latest_snapshot_meta": {"term": 0, "index": 0},
            "apply_progress_queue": None,
            "first_voter": peer,
            "peer_address_by_id": {},
            "peer_metadata_by_id": {},
            "this_peer_id": peer,
        }
        write_json(path, state)
    return int(state["this_peer_id"])
