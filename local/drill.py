"""`make drill`: the newest backup is restored into an engine of its own and compared, as the job does each night.

With BACKUP_URL set it drills that bucket, and ends with the drill's exit code. Without it, it tells the story on an
instance of its own: a drill beside the running writer, then the same after one byte of a backup was spoilt. Owns the
story; the drill itself is the command `verify --deep`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient
from rich.console import Console

from local import digits
from local.instance import EMBEDDED_ENGINE, InstanceFailed, LocalInstance, local_instance
from runtime import contract

_ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 3600
_SETTINGS = {"BACKUP_QUIET_SECONDS": "1", "BACKUP_MAX_AGE_SECONDS": "10"}

console = Console(highlight=False)


def main() -> int:
    """Drill the bucket that BACKUP_URL names, or tell the story; return the exit code."""
    engine = os.environ.get(contract.QDRANT_BIN) or str(EMBEDDED_ENGINE)
    interpreter = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((interpreter, os.environ.get("PATH", os.defpath))),
        contract.QDRANT_BIN: engine,
        contract.IN_A_JOB: "drill",
    }
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        try:
            if os.environ.get(contract.BACKUP_URL):
                return _drill(environment, Path(folder), capture=False).returncode
            return _story(environment, Path(folder), Path(engine))
        except (InstanceFailed, subprocess.TimeoutExpired) as failure:
            console.print(f"[red]failed[/red]: {failure}")
            return 1


def _drill(environment: dict[str, str], folder: Path, *, capture: bool) -> subprocess.CompletedProcess[str]:
    """Run the job's command, its scratch on a disk of its own."""
    return subprocess.run(
        [sys.executable, "-m", "runtime", "verify", "--deep"],
        env={**environment, contract.QDRANT_STORAGE_DIR: str(folder / "job" / "storage")},
        cwd=_ROOT,
        capture_output=capture,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def _story(environment: dict[str, str], folder: Path, engine: Path) -> int:
    bucket = folder / "bucket"
    environment |= {contract.BACKUP_URL: f"file://{bucket}"}
    with local_instance(folder / "instance", environment[contract.BACKUP_URL], engine, **_SETTINGS) as writer:
        writer.wait_until("serving")
        port = writer.ports.public
        client = QdrantClient(
            host="127.0.0.1", port=port, grpc_port=port, prefer_grpc=True, timeout=30, check_compatibility=False
        )
        written = digits.load(client, lambda _done, _total: None)
        writer.wait_until("saved", saved=True)
        backup = writer.health()["backup"]["newest"]
        console.print(f"1. A writer has saved {written.count:,} points ({backup}).")
        good = _drill(environment, folder, capture=True)
        console.print(f"2. The drill beside it ends with {good.returncode}: {good.stdout.strip()}")
        console.print(f"   The writer is {_role(writer)}; recorded: {_verdicts(bucket)}")
        console.print(f"3. One byte of {_spoil(bucket, backup)} is spoilt, behind the bucket's back.")
        bad = _drill(environment, folder, capture=True)
        console.print(f"4. The drill ends with {bad.returncode}, and logs what the alert waits for:")
        for line in bad.stderr.splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                console.print(f"   {entry['severity']} {entry['event']}: {entry['message']}", markup=False)
        console.print(f"   The writer is {_role(writer)}; recorded: {_verdicts(bucket)}")
        as_promised = (good.returncode, bad.returncode, _verdicts(bucket)) == (0, 4, [True, False])
        if not as_promised or _role(writer) != "writer":
            console.print(f"[red]NOT as promised[/red]\n{good.stderr}\n{bad.stderr}")
            return 1
    console.print("[green]as promised[/green]: a good backup passes, a damaged one is found, the writer is left alone")
    return 0


def _role(writer: LocalInstance) -> str:
    return str(writer.health().get("role"))


def _verdicts(bucket: Path) -> list[bool]:
    """Return whether each recorded verification found a good backup, oldest first."""
    files = sorted((bucket / contract.VERIFIED_FOLDER).glob("*.json"))
    return [bool(json.loads(file.read_text())["ok"]) for file in files]


def _spoil(bucket: Path, manifest_name: str) -> str:
    """Change a byte that a restore reads, as a rotten disk would; return the pack's name."""
    manifest = json.loads((bucket / manifest_name).read_text())
    file = next(file for file in _files(manifest) if file["size"] > sum(length for _, length in file["holes"]))
    pack = bucket / file["pack"]
    stat = pack.stat()
    with pack.open("r+b") as opened:
        opened.seek(file["offset"])
        byte = opened.read(1)[0]
        opened.seek(file["offset"])
        opened.write(bytes([byte ^ 1]))
    os.utime(pack, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return str(file["pack"])


def _files(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every file of a manifest."""
    collections = manifest["collections"].values()
    return [file for one in collections for shard in one["shards"].values() for file in shard["files"].values()]


if __name__ == "__main__":
    sys.exit(main())
