"""The bucket as an onlooker sees it: what HEAD said one after the other, and what a backup holds.

Reads objects as plain JSON and bytes, with none of the code under test.
"""

import json
from typing import Any

from runtime.repository.store import ObjectInfo
from tests.crash_points.engine import State
from tests.support.model_store import ModelBucket

NOTHING: State = {"aliases": "{}"}


class WatchedBucket(ModelBucket):
    """A bucket that remembers every HEAD it held."""

    heads: list[dict[str, Any]]

    def put(self, client: str, verb: str, name: str, data: bytes, expected: int) -> ObjectInfo:
        """Store, and remember HEAD."""
        info = super().put(client, verb, name, data, expected)
        if name == "HEAD":
            self.heads.append(json.loads(data))
        return info

    def head(self) -> dict[str, Any] | None:
        """Return what HEAD says now."""
        there = self.objects.get("HEAD")
        return None if there is None else dict(json.loads(there.data))

    def content(self, manifest: str | None) -> State:
        """Return what a backup holds, read from its manifest and packs."""
        if manifest is None:
            return NOTHING
        told = json.loads(self.objects[manifest].data)
        found = {"aliases": json.dumps(told["aliases"], sort_keys=True)}
        for name, collection in told["collections"].items():
            found |= {f"{name}/{file}": text for file, text in collection["config"].items()}
            for shard, entry in collection["shards"].items():
                for path, file in entry["files"].items():
                    pack = self.objects[file["pack"]].data
                    found[f"{name}/{shard}/{path}"] = pack[file["offset"] : file["offset"] + file["size"]].decode()
        return found

    def newest(self) -> State:
        """Return what the newest committed backup holds."""
        head = self.head()
        return self.content(head["manifest"] if head else None)

    def committed(self) -> list[str]:
        """Return the manifests that HEAD named one after the other, oldest first."""
        named = [head["manifest"] for head in self.heads if head["manifest"]]
        return list(dict.fromkeys(named))

    def broken_history(self) -> str | None:
        """Say what is wrong with how HEAD changed, if anything is."""
        for old, new in zip(self.heads, self.heads[1:], strict=False):
            if (new["epoch"], new["seq"]) < (old["epoch"], old["seq"]) or new["seq"] > old["seq"] + 1:
                return f"HEAD goes from {old['epoch']}-{old['seq']} to {new['epoch']}-{new['seq']}"
            if (new["seq"] == old["seq"]) != (new["manifest"] == old["manifest"]):
                return f"the backup {new['manifest']} follows {old['manifest']} as number {new['seq']}"
            if new["epoch"] == old["epoch"] and new["holder"] != old["holder"]:
                return f"{new['holder']} and {old['holder']} share epoch {new['epoch']}"
        return None
