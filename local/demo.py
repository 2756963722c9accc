"""`make demo`: data is written, the instance is killed, its disk deleted, and a new one answers the same.

Owns the story it tells. The data and the comparison are in `digits`, the processes in `instance` and `bucket`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from qdrant_client import QdrantClient
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from local import digits
from local.bucket import bucket_emulator
from local.docker_engine import docker_engine
from local.instance import EMBEDDED_ENGINE, InstanceFailed, LocalInstance, local_instance
from local.stream import COLLECTION, Stream, missing
from runtime.errors import RuntimeFailure

_MOST_SHOWN = 10
_STREAMED = 200

# Short, so that the demo is: a crashed writer is waited for this long before another takes its place.
_SETTINGS = {"BACKUP_QUIET_SECONDS": "1", "BACKUP_MAX_AGE_SECONDS": "30", "HANDOVER_TIMEOUT_SECONDS": "2"}

console = Console(highlight=False)


def main() -> int:
    """Tell the story; return 0 when everything acknowledged is there again, 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("auto", "docker", "embedded"), default="auto")
    arguments = parser.parse_args()
    try:
        return asyncio.run(_demo(arguments.engine))
    except (InstanceFailed, RuntimeFailure) as error:
        console.print(f"[red]failed[/red]: {error}")
        return 1


async def _demo(choice: str) -> int:
    engine, described = _engine(choice)
    console.print(f"Engine: {described}")
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        async with bucket_emulator(Path(folder) / "bucket") as emulator:
            console.print(f"Bucket: gs://backups, emulated at {emulator}")
            return await asyncio.to_thread(_story, Path(folder), engine, emulator)


def _story(folder: Path, engine: Path, emulator: str) -> int:
    settings = {**_SETTINGS, "STORAGE_EMULATOR_HOST": emulator}
    disk, url = folder / "instance", "gs://backups/demo"
    with local_instance(disk, url, engine, **settings) as first:
        seconds = first.wait_until("serving")
        console.print(f"1. An instance serves on port {first.ports.public}, {seconds:.1f} s after its start.")
        acknowledged = _write(first)
        seconds = first.wait_until("saved", saved=True)
        newest = first.health()["backup"]["newest"]
        console.print(f"4. {seconds:.1f} s later a backup holds all of it: {newest}")
        with Stream(_client(first, grpc=False)) as stream:
            stream.wait_for(_STREAMED)
            first.kill()
        first.delete_disk()
        console.print(
            f"5. Somebody writes one point after the other; number {stream.acknowledged:,} was acknowledged, and in "
            "the midst of the next: kill -9, and the disk is deleted. Nothing is left but the bucket."
        )
    started = time.monotonic()
    with local_instance(disk, url, engine, **settings) as second:
        second.wait_until("serving again")
        restore = second.health()["restore"]
        console.print(
            f"6. A new instance on an empty disk serves {time.monotonic() - started:.1f} s after its start: "
            f"{restore['points']:,} points, {restore['files']} files, {restore['bytes']:,} bytes "
            f"restored in {restore['milliseconds']} ms, and what came after the backup replayed from the journal."
        )
        console.print(
            f"   (The rest is starting, and {_SETTINGS['HANDOVER_TIMEOUT_SECONDS']} s of waiting for a sign of life "
            "of the killed writer; after a clean end there is none.)"
        )
        return _compare(second, acknowledged, stream.acknowledged)


def _write(instance: LocalInstance) -> digits.Acknowledged:
    client = _client(instance, grpc=True)
    with Progress(
        TextColumn("2. {task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), console=console
    ) as bar:
        task = bar.add_task("Writing scanned digits")
        acknowledged = digits.load(client, lambda done, total: bar.update(task, completed=done, total=total))
    by_rest = digits.look_up(_client(instance, grpc=False), 7, acknowledged)
    by_grpc = digits.look_up(client, 7, acknowledged)
    console.print(f"3. What looks like this seven? REST says {by_rest}, gRPC on the same port says {by_grpc}.")
    return acknowledged


def _compare(instance: LocalInstance, acknowledged: digits.Acknowledged, streamed: int) -> int:
    client = _client(instance, grpc=True)
    found = list(digits.differences(client, acknowledged, besides=COLLECTION))
    found += [f"write {number:,} was acknowledged and is not there" for number in missing(client, streamed)]
    for difference in found[:_MOST_SHOWN]:
        console.print(f"   [red]differs[/red]: {difference}")
    if found:
        console.print(f"[red]NOT the same[/red]: {len(found)} differences")
        return 1
    console.print(
        f"[green]verified[/green]: {acknowledged.count:,} points with every vector and payload, "
        f"{sum(map(len, acknowledged.indexes.values()))} payload indexes and {len(acknowledged.aliases)} alias "
        f"are exactly what was acknowledged, and so are all {streamed:,} writes up to the kill, the last one included"
    )
    return 0


def _client(instance: LocalInstance, *, grpc: bool) -> QdrantClient:
    port = instance.ports.public
    return QdrantClient(
        host="127.0.0.1", port=port, grpc_port=port, prefer_grpc=grpc, timeout=30, check_compatibility=False
    )


def _engine(choice: str) -> tuple[Path, str]:
    """Return the engine's program, and what to call it: the embedded one is never presented as Qdrant."""
    named = os.environ.get("QDRANT_BIN")
    if choice == "docker":
        return docker_engine(), "Qdrant, from its official image"
    if choice == "auto" and named:
        return Path(named), f"Qdrant, {named}"
    return EMBEDDED_ENGINE, "the embedded stand-in (Qdrant's segment engine in process; QDRANT_BIN=… for Qdrant itself)"


if __name__ == "__main__":
    sys.exit(main())
