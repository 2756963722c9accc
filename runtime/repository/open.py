"""From a backup URL to its store.

Owns the two forms of the URL. The bucket's client, which is slow to import, is imported by its first call,
not here.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from runtime.errors import ConfigError
from runtime.repository.directory import DirectoryStore
from runtime.repository.gcs import GcsStore
from runtime.repository.store import Store

DEADLINE_SECONDS = 20.0


def open_store(
    backup_url: str,
    *,
    emulator_host: str | None,
    project: str | None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Store:
    """Return the store of `gs://bucket/prefix` or `file:///dir`, contacting nothing. Raises ConfigError."""
    parts = urlsplit(backup_url)
    if parts.scheme == "gs" and parts.netloc:
        return GcsStore(
            parts.netloc,
            parts.path.strip("/"),
            project=project,
            emulator_host=emulator_host,
            deadline_seconds=deadline_seconds,
        )
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return DirectoryStore(Path(unquote(parts.path)), deadline_seconds=deadline_seconds)
    raise ConfigError(
        f"{backup_url!r} is no place for backups",
        hint="Use gs://bucket/prefix, or file:///absolute/directory for one machine",
    )


async def prepare(store: Store) -> None:
    """Make a first start on one machine easy: a directory is made in a parent that exists. A bucket must be there.

    Only an instance does this; a command that only looks refuses a directory that is not there.
    """
    if isinstance(store, DirectoryStore):
        await store.create()
