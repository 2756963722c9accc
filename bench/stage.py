"""What the benchmarks share: the engine, folders, instances, and buckets with a backup that ended cleanly.

Owns what is made once, and the state of the page cache. Measures nothing.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench import copies
from bench.sizes import Sizes
from bench.waiting import answer, until
from bench.workloads import Workload
from local.instance import LocalInstance, free_ports, local_instance

T = TypeVar("T")

# No backup but those asked for, and no journal: what is measured is started by the measurement.
ON_DEMAND = {
    "BACKUP_QUIET_SECONDS": "86400",
    "BACKUP_MAX_AGE_SECONDS": "86400",
    "DURABILITY": "snapshot",
    "LOG_LEVEL": "INFO",
}

_LINKED_FROM = 1024 * 1024
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class EngineAlone:
    """An engine without this project around it. `snapshots` is where it keeps its own."""

    process: subprocess.Popen[bytes]
    rest: int
    grpc: int
    storage: Path
    snapshots: Path


@dataclass(frozen=True, slots=True)
class Seed:
    """A lineage of one full backup: its bucket, and the tree that a restore of it places."""

    bucket: Path
    tree: Path


class Stage:
    """One run's folders, engine and sizes."""

    def __init__(self, folder: Path, engine: Path, sizes: Sizes) -> None:
        self.folder = folder
        self.engine = engine
        self.sizes = sizes
        self._numbers = itertools.count()
        self._seeds: dict[str, Seed] = {}

    def new_folder(self, name: str) -> Path:
        """Return an empty folder of that name."""
        made = self.folder / f"{name}-{next(self._numbers)}"
        made.mkdir()
        return made

    def in_turns(self, what: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
        """Yield the number of each repetition and the order in which to measure: it turns round each time."""
        order = list(what)
        for number in range(self.sizes.repetitions):
            yield number, order if number % 2 else order[::-1]

    def instance(
        self, bucket: Path | str, *, disk: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> contextlib.AbstractContextManager[LocalInstance]:
        """Start an instance; on an empty disk if none is given."""
        url = bucket if isinstance(bucket, str) else f"file://{bucket}"
        return local_instance(disk or self.new_folder("disk"), url, self.engine, **{**ON_DEMAND, **(settings or {})})

    @contextlib.contextmanager
    def engine_alone(self, storage: Path) -> Iterator[EngineAlone]:
        """Start the engine on a tree and yield when it says that it is ready."""
        rest, grpc = free_ports(2)
        snapshots = storage.with_name("snapshots")
        with (self.folder / "engine.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.engine)],
                env={
                    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
                    "QDRANT__SERVICE__HOST": "127.0.0.1",
                    "QDRANT__SERVICE__HTTP_PORT": str(rest),
                    "QDRANT__SERVICE__GRPC_PORT": str(grpc),
                    "QDRANT__STORAGE__STORAGE_PATH": str(storage),
                    "QDRANT__STORAGE__SNAPSHOTS_PATH": str(snapshots),
                    "QDRANT__STORAGE__WAL__WAL_CAPACITY_MB": "2",
                    "QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER": "1",
                    "QDRANT__TELEMETRY_DISABLED": "true",
                    "QDRANT__LOG_LEVEL": "WARN",
                    # Where Docker is, for the engine that runs in it.
                    "HOME": os.environ.get("HOME", "/"),
                    **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
                },
                cwd=storage.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: answer(rest, "/readyz") is not None)
            yield EngineAlone(process, rest, grpc, storage, snapshots)
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def engine_on(self, workload: Workload) -> Iterator[EngineAlone]:
        """Start the engine on a tree of its own that holds that; the tree goes afterwards.

        Copied by `cp`, which leaves holes what they are: Qdrant sets aside 70 MB a collection that nobody wrote yet.
        """
        folder = self.new_folder("tree")
        copies.cp(self.seed(workload).tree, folder / "storage")
        with self.engine_alone(folder / "storage") as engine:
            yield engine
        shutil.rmtree(folder)

    def seed(self, workload: Workload) -> Seed:
        """Return a bucket with that, made when first needed."""
        if workload.name not in self._seeds:
            self._seeds[workload.name] = self._make_seed(workload)
        return self._seeds[workload.name]

    def copy_of(self, bucket: Path) -> Path:
        """Return a bucket of its own with the same backups: packs never change, so they are linked."""
        copy = self.new_folder("bucket")
        shutil.copytree(bucket, copy, copy_function=_link_packs, dirs_exist_ok=True)
        return copy

    def _make_seed(self, workload: Workload) -> Seed:
        bucket, disk = self.new_folder("bucket"), self.new_folder("disk")
        with self.instance(bucket, disk=disk) as instance:
            instance.wait_until("ready to be filled")
            workload.create(instance.ports.public)
            workload.fill(instance.ports.public)
            instance.snapshot()
            instance.terminate()
        shutil.rmtree(disk)
        tree = self.new_folder("tree") / "storage"
        restore = [sys.executable, "-m", "runtime", "restore", str(tree), "--json"]
        environment = {**os.environ, "BACKUP_URL": f"file://{bucket}", "QDRANT_BIN": str(self.engine)}
        subprocess.run(restore, cwd=_ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        return Seed(bucket, tree)


def events(instance: LocalInstance) -> dict[str, dict[str, Any]]:
    """Return an instance's log lines by event, the last of each."""
    found = {}
    for line in (instance.folder / "log").read_text().splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            found[entry["event"]] = entry
    return found


def forget_cached(*trees: Path) -> None:
    """Write out what is unwritten and drop these files from the page cache, as far as the kernel agrees."""
    os.sync()
    for path in (path for tree in trees for path in tree.rglob("*") if path.is_file()):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _link_packs(source: str, target: str) -> None:
    if Path(source).stat().st_size > _LINKED_FROM:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
