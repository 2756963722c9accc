import subprocess
import sys
from pathlib import Path

import pytest

from local.bucket import bucket_emulator
from runtime.errors import ConfigError, StoreDenied
from runtime.repository.open import open_store
from tests.repository.conftest import Run

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("gs://bucket", "gs://bucket"),
        ("gs://bucket/", "gs://bucket"),
        ("gs://bucket/a/b/", "gs://bucket/a/b"),
        ("file:///tmp/backup", "file:///tmp/backup"),
        ("file:///tmp/with%20space", "file:///tmp/with space"),
    ],
)
def test_a_backup_url_opens_its_store(run: Run, url: str, shown: str) -> None:
    """And the store says it back, without anything being contacted."""
    store = open_store(url, emulator_host=None, project=None)
    assert str(store) == shown
    run(store.close())


@pytest.mark.parametrize("url", ["", "bucket", "s3://bucket", "gs://", "file://host/dir", "file:dir", "/dir"])
def test_any_other_url_is_a_configuration_error(url: str) -> None:
    """With the two forms in the hint."""
    with pytest.raises(ConfigError, match="gs://bucket/prefix"):
        open_store(url, emulator_host=None, project=None)


def test_opening_a_bucket_imports_nothing_of_google_s_client() -> None:
    """An instance listens before the client is needed: that import takes most of a second."""
    program = (
        "import sys; from runtime.repository.open import open_store; "
        "open_store('gs://b/p', emulator_host=None, project=None); "
        "heavy = ('google.cloud', 'google.auth', 'requests', 'urllib3'); "
        "print([m for m in sys.modules if m.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_credentials_the_hint_says_how_to_get_some(tmp_path: Path) -> None:
    """Where there is neither a key nor a metadata server."""
    program = (
        "import asyncio\n"
        "from runtime.errors import StoreDenied\n"
        "from runtime.repository.open import open_store\n"
        "store = open_store('gs://b/p', emulator_host=None, project=None)\n"
        "try: asyncio.run(store.read('HEAD'))\n"
        "except StoreDenied as error: print(error.hint)"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "NO_GCE_CHECK": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "application-default login" in done.stdout


def test_the_emulator_keeps_its_bucket_in_a_directory(run: Run, tmp_path: Path) -> None:
    """Stopped and started again it has the same objects; without a directory it starts empty."""

    async def write_and_read() -> None:
        """Write in one emulator, read in the next."""
        async with bucket_emulator(tmp_path) as url:
            store = open_store("gs://backups/p", emulator_host=url, project=None)
            await store.write_new("HEAD", b"1")
            await store.close()
        async with bucket_emulator(tmp_path) as url:
            store = open_store("gs://backups/p", emulator_host=url.removeprefix("http://"), project=None)
            assert (await store.read("HEAD"))[0] == b"1"
            await store.close()

    run(write_and_read())


def test_the_emulator_has_no_other_bucket(run: Run, emulator: str) -> None:
    """A wrong name is denied there as in the cloud."""
    store = open_store("gs://backup/p", emulator_host=emulator, project=None)
    with pytest.raises(StoreDenied):
        run(store.read("HEAD"))
    run(store.close())
