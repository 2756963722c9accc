"""Instances for the tests of this folder, ended with them, their logs beside what failed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.bucket import bucket_emulator
from tests.support.instances import Fleet, logs
from tests.support.strict_gcs import StrictGcs, strict_gcs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Put the end of each instance's log beside a failure, while the instances are still there."""
    report = yield
    if report.failed and call.when == "call":
        for fleet in getattr(item, "funcargs", {}).values():
            if isinstance(fleet, Fleet):
                report.sections.extend(logs(fleet))
    return report


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Give instances on one bucket that is a directory."""
    with Fleet(tmp_path) as started:
        yield started


@pytest.fixture
def strict() -> Iterator[StrictGcs]:
    """Give the strict server."""
    with strict_gcs() as server:
        yield server


@pytest.fixture
def strict_fleet(tmp_path: Path, strict: StrictGcs) -> Iterator[Fleet]:
    """Give instances on one bucket of the strict server."""
    with Fleet(tmp_path, BACKUP_URL="gs://backups/some/prefix", STORAGE_EMULATOR_HOST=strict.url) as started:
        yield started


@pytest.fixture
def emulator() -> Iterator[str]:
    """Give the address of an emulator with an empty bucket."""
    with asyncio.Runner() as runner:
        running = bucket_emulator()
        yield runner.run(running.__aenter__())
        runner.run(running.__aexit__(None, None, None))


@pytest.fixture(params=["directory", "emulator", "strict"])
def any_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """Give instances on one bucket of each kind."""
    if request.param == "directory":
        given = Fleet(tmp_path)
    elif request.param == "emulator":
        url = request.getfixturevalue("emulator")
        given = Fleet(tmp_path, BACKUP_URL="gs://backups/p", STORAGE_EMULATOR_HOST=url)
    else:
        url = request.getfixturevalue("strict").url
        given = Fleet(tmp_path, BACKUP_URL="gs://backups/p", STORAGE_EMULATOR_HOST=url)
    with given as started:
        yield started
