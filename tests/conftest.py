"""What every test run has in common."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure, and a test that fails says how to see it again; `--hypothesis-seed` tries others.
settings.register_profile(
    "house", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

# No test speaks TLS, and loading the machine's authorities takes longer than most requests: once at the start of each
# process, and for each client that is made.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "fixtures" / "nobody.pem")

# What takes long begins first, or one worker ends alone with it.
_FIRST = ("simulation", "crash_points", "recovery", "sync", "instance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders of the long tests first; within each the order stays."""
    folders = [*_FIRST, ""]

    def turn(item: pytest.Item) -> int:
        """Return a folder's turn."""
        return folders.index(item.path.parent.name if item.path.parent.name in _FIRST else "")

    items.sort(key=turn)
