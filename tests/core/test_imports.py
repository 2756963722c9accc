import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "runtime").rglob("*.py")
    if path.name != "__main__.py"
)

_IMPORT_ALL = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def locked(group: str) -> set[str]:
    """Return the distributions that a lock names."""
    text = (ROOT / "requirements" / f"{group}.txt").read_text()
    return set(re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE))


def installed(names: set[str], site: Path) -> None:
    """Make a folder that holds these distributions, as an environment would in which nothing else is installed."""
    made: set[Path] = set()
    for name in names:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        for file in distribution.files or ():
            path = site / str(file)
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or file.suffix == ".pyc" or not source.exists():
                continue
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            path.symlink_to(source)


def imported(modules: list[str], *paths: Path) -> set[str]:
    """Return what a bare interpreter has imported after these modules."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _IMPORT_ALL, *modules],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths)))},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_every_module_imports_with_the_container_s_packages_alone(tmp_path: Path) -> None:
    """With nothing installed but what requirements/runtime.txt names, all of the runtime can be imported."""
    installed(locked("runtime"), tmp_path)
    found = imported(MODULES, tmp_path)
    assert set(MODULES) <= found
    assert not {"pytest", "hypothesis", "qdrant_client", "qdrant_edge", "pulumi", "local", "tests"} & found


def test_the_check_finds_what_is_not_installed(tmp_path: Path) -> None:
    """Without the packages the same imports fail: the interpreter of the check sees no others."""
    with pytest.raises(AssertionError, match="No module named"):
        imported(MODULES, tmp_path)


def test_the_contract_needs_nothing_but_the_standard_library() -> None:
    """The infrastructure reads the names without any of the container's packages."""
    found = {name.split(".")[0] for name in imported(["runtime.contract"])}
    assert found - set(sys.stdlib_module_names) == {"__main__", "runtime"}
    assert {name for name in imported(["runtime.contract"]) if name.startswith("runtime")} == {
        "runtime",
        "runtime.contract",
    }


def test_a_start_places_files_before_what_only_answers_is_imported() -> None:
    """Importing is most of a small start: HTTP, gRPC, templates, the bucket's client and the command line wait."""
    found = imported(["runtime.serving", "runtime.supervisor"], Path(sysconfig.get_path("purelib")))
    assert "runtime.instance" in found
    assert not {"aiohttp", "grpc", "jinja2", "google.auth", "google.cloud.storage", "requests", "click", "rich"} & found


_ALONE = """
import asyncio, os, sys
from runtime import imports
asyncio.run(imports.aiohttp_beside())
print("aiohttp" in sys.modules, os.environ["SSL_CERT_FILE"])
"""


def test_what_aiohttp_is_imported_with_is_told_to_nobody_else() -> None:
    """It must not read the system's certificates; whoever needs them afterwards is led to them as before."""
    found = subprocess.run(
        [sys.executable, "-c", _ALONE],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": "/somewhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stdout.split() == ["True", "/somewhere"]
