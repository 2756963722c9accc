"""One shard: the engine's own shard on its folder, one writer at a time, and the number of each operation.

Owns the folder, the lock and the flush. What an operation does is decided by who hands it in.
"""

import secrets
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import qdrant_edge as edge

from local.engine import capture, wal
from local.engine.files import read_json, write_json
from local.engine.refusal import Json, Refusal, wrong_input

_FIRST_OPERATION = 1
Operation = Callable[[edge.EdgeShard], edge.UpdateOperation | None]


class NothingNew(Exception):
    """The client's manifest is the current one."""


class Shard:
    """A shard of a collection; `engine` may be read at any time, and changes only under the lock."""

    def __init__(self, folder: Path, number: int, peer: int, config: edge.EdgeConfig) -> None:
        self.folder = folder
        self.number = number
        self._lock = threading.RLock()
        self._dirty = self._unsettled = False
        self._clock = read_json(folder / "newest_clocks.json")
        (folder / "segments").mkdir(parents=True, exist_ok=True)
        if not (folder / "wal").exists():
            wal.write_empty(folder / "wal", _FIRST_OPERATION)
        write_json(folder / "shard_config.json", {"type": "ReplicaSet"})
        state = {"is_local": True, "this_peer_id": peer, "peers": {str(peer): "Active"}}
        write_json(folder / "replica_state.json", state)
        self._peer = peer
        _delete_headless(folder / "segments")
        segments = list((folder / "segments").iterdir())
        self.next_operation = wal.next_operation(folder / "wal")
        self.engine = edge.EdgeShard.load(str(folder), None if any(map(_has_graph, segments)) else config)

    @property
    def last_operation(self) -> int:
        """Answer the number of the last operation, 0 before the first."""
        return max(self.next_operation - 1, 0)

    def write(self, operation: Operation) -> int:
        """Apply an operation and answer its number; one that turns out to be nothing uses none."""
        with self._lock:
            prepared = operation(self.engine)
            if prepared is None:
                return self.last_operation
            try:
                self.engine.update(prepared)
            except Exception as error:  # the engine raises bare ones
                raise wrong_input(str(error)) from error
            finally:
                self.next_operation += 1
                self._dirty = self._unsettled = True
            return self.last_operation

    def flush(self) -> None:
        """Bring everything to the disk, so that the log need not be replayed."""
        with self._lock:
            if self._dirty:
                self._dirty = False
                self._save_clock()
                self.engine.flush()

    def settle(self) -> None:
        """Do what the real server does behind the answers: flush, and make full segments immutable."""
        with self._lock:
            if self._unsettled:
                self._unsettled = False
                self.flush()
                if self.engine.optimize():
                    self.engine.flush()

    def manifest(self) -> Json:
        """Answer which files the shard has, each with the number of the operation that last changed it."""
        with self._lock:
            self.flush()
            return self.engine.snapshot_manifest()

    def capture(self, target: Path, wanted: Json | None) -> capture.Capture:
        """Copy the shard as it is now, as far as `wanted` lacks it; raise NothingNew if it lacks nothing."""
        with self._lock:
            current = self.manifest()
            if wanted == current:
                raise NothingNew
            return capture.take(self.folder, target, current, wanted, self.next_operation)

    def segments(self) -> list[str]:
        """Answer the segments' ids."""
        return sorted(folder.name for folder in (self.folder / "segments").iterdir() if folder.is_dir())

    def close(self) -> None:
        """Let go of the folder."""
        with self._lock:
            self.engine.close()

    def _save_clock(self) -> None:
        clocks = (self._clock or {}).get("clocks") or [{"clock_id": 0, "token": secrets.randbits(62)}]
        tick = {
            "peer_id": self._peer,
            "clock_id": 0,
            "current_tick": self.last_operation,
            "token": clocks[0]["token"],
        }
        self._clock = {"clocks": [tick]}
        write_json(self.folder / "newest_clocks.json", self._clock)


def _has_graph(segment: Path) -> bool:
    """Answer whether a real server indexed a segment: its settings are kept, or it would be rebuilt."""
    vectors = (read_json(segment / "segment.json") or {})["config"]["vector_data"].values()
    return any(vector["index"].get("options", {}).get("m") for vector in vectors)


def _delete_headless(segments: Path) -> None:
    """Delete segments without a version file, as the real server does, and go on as if nothing was."""
    for segment in list(segments.iterdir()):
        if segment.is_dir() and not (segment / "version.info").exists():
            print(f"WARN Deleting segment without version file: {segment}", file=sys.stderr)
            shutil.rmtree(segment)
        elif segment.is_dir() and not (segment / "segment.json").exists():
            raise Refusal(500, f"Service internal error: no segment.json in {segment}")
