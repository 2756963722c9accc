import io
import json
import os
import subprocess
import tarfile
import time
import zlib

import pytest

from local.image_size import layers
from tests.image.docker import ROOT, docker, run_in

pytestmark = pytest.mark.timeout(900)

LIMIT_BYTES = 120_000_000


def test_the_image_is_small(image: str) -> None:
    """Its layers, compressed, stay under 120 MB."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        found = layers(saving.stdout)
    assert 50_000_000 < sum(layer.compressed for layer in found) < LIMIT_BYTES


def test_only_the_runtime_goes_in(image: str) -> None:
    """Of the repository only runtime/ is in the image, without tests, and no shell script came along."""
    listed = run_in(image, "find", "/app", "/data", "/qdrant", "-maxdepth", "2").splitlines()
    assert [path for path in listed if path.startswith("/app/code/")] == ["/app/code/runtime"]
    assert not [path for path in listed if path.startswith(("/data/", "/app/packages/tests"))]
    assert run_in(image, "find", "/app", "/qdrant", "(", "-name", "*.sh", "-o", "-name", "*.c", ")") == ""
    assert run_in(image, "find", "/app/code", "-name", "test*") == ""


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "make", "strip", "curl", "wget", "git"])
def test_no_tool_of_the_trade_is_left(image: str, tool: str) -> None:
    """The final stage has no installer, no compiler and no downloader."""
    assert run_in(image, "sh", "-c", f"command -v {tool} || true") == ""


def test_nothing_can_raise_its_rights(image: str) -> None:
    """No file carries a set-user-id or set-group-id bit, and none of the code can be written by its user."""
    assert run_in(image, "find", "/usr", "-xdev", "-type", "f", "-perm", "/6000") == ""
    assert run_in(image, "find", "/app", "/qdrant", "-writable") == ""


def test_it_runs_as_nobody_in_particular(image: str) -> None:
    """The image's user is not root."""
    assert json.loads(docker("inspect", "--format={{json .Config.User}}", image)) == "10001:10001"
    assert run_in(image, "id", "-u") == "10001"


def test_it_says_what_it_is(image: str) -> None:
    """The OCI labels name the engine and the base, and Docker knows how to ask for its health."""
    configuration = json.loads(docker("inspect", "--format={{json .Config}}", image))
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.title"] == "Qdrant on Cloud Run"
    assert labels["qdrant.image"].endswith("v1.19.0") or "QDRANT_IMAGE" in os.environ
    assert configuration["Healthcheck"]["Test"][-1] == "runtime.healthcheck"


def test_every_module_imports_with_nothing_else_installed(image: str) -> None:
    """Each module of runtime imports in the image, which has only the runtime group's packages."""
    program = (
        "import importlib, pkgutil, runtime\n"
        "names = [found.name for found in pkgutil.walk_packages(runtime.__path__, 'runtime.')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "print(len(names))"
    )
    modules = [path for path in (ROOT / "runtime").rglob("*.py") if path.name != "__init__.py"]
    assert int(run_in(image, "python3", "-c", program)) >= len(modules)


def test_wrong_settings_end_it_with_two(image: str) -> None:
    """Without a bucket it ends with status 2 and says which variable is missing."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", image], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "BACKUP_URL: is missing" in done.stdout + done.stderr


def test_the_code_is_compiled_ahead(image: str) -> None:
    """The program says its usage well within a second and a half, container included, on a read-only disk."""
    docker("run", "--rm", "--read-only", "--network=none", image, "--help")
    started = time.monotonic()
    docker("run", "--rm", "--read-only", "--network=none", image, "--help")
    assert time.monotonic() - started < 3
    assert run_in(image, "find", "/app/code/runtime", "-name", "supervisor.*.pyc") != ""


def test_a_layer_counts_as_a_registry_keeps_it() -> None:
    """A plain layer counts compressed, a compressed one as it is, and one that is used twice counts twice."""
    plain, packed = b"a" * 1_000_000, zlib.compress(os.urandom(5000), wbits=31)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as members:
        for name, content in (("one/layer.tar", plain), ("two/layer.tar", packed), ("manifest.json", _listing())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
        again = tarfile.TarInfo("three/layer.tar")
        again.type, again.linkname = tarfile.SYMTYPE, "../one/layer.tar"
        members.addfile(again)
    archive.seek(0)

    first, second, third = layers(archive)

    assert first == third
    assert first.bytes == 1_000_000
    assert first.compressed < 5000
    assert second.compressed == second.bytes == len(packed)


def _listing() -> bytes:
    """Return what an exported image says of its layers."""
    return json.dumps([{"Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"]}]).encode()
