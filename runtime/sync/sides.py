"""Both sides of a sync, opened and looked at.

Owns which engine is meant and what the repository says of it.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runtime import contract
from runtime.errors import ConfigError, IntegrityError
from runtime.journal.replay import beginning, epochs
from runtime.journal.tail import Tail
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.sync import meetings
from runtime.sync.plan import Held
from runtime.sync.remote import Remote


@contextlib.asynccontextmanager
async def source_of(settings: Settings) -> AsyncIterator[Remote]:
    """Open the engine that is pulled from. Raises ConfigError when none is named."""
    if settings.source_url is None:
        raise _unnamed(contract.SOURCE_URL)
    key_name = contract.SOURCE_API_KEY
    async with _opened(settings.source_url, settings.source_api_key, "source", key_name) as remote:
        yield remote


@contextlib.asynccontextmanager
async def target_of(settings: Settings) -> AsyncIterator[Remote]:
    """Open the engine that is pushed to. Raises ConfigError when none is named."""
    if settings.target_url is None:
        raise _unnamed(contract.TARGET_URL)
    key_name = contract.TARGET_API_KEY
    async with _opened(settings.target_url, settings.target_api_key, "target", key_name) as remote:
        yield remote


@contextlib.asynccontextmanager
async def local(port: int, settings: Settings) -> AsyncIterator[Remote]:
    """Open a scratch engine of our own."""
    url = f"http://127.0.0.1:{port}"
    async with _opened(url, settings.api_key, "scratch engine", contract.QDRANT_API_KEY) as remote:
        yield remote


async def held(repository: Repository, remote: Remote) -> Held:
    """Return the repository's side. Raises IntegrityError (HEAD is lost), StoreError."""
    state = await repository.head()
    if state is None:
        if await repository.has_manifests():
            raise IntegrityError(f"{repository} holds backups but no HEAD", hint="`python -m runtime repair`")
        return Held()
    if state.head.manifest is None:
        return Held(has_unsaved=await _has_unsaved(repository, state.head, None))
    manifest = await repository.manifest(state.head.manifest, state.head.manifest_sha256)
    met = await meetings.last(repository, state, remote.url)
    unsaved = await _has_unsaved(repository, state.head, manifest)
    return Held(names.manifest_id(state.head.manifest), state.head.manifest, manifest, met, unsaved)


async def _has_unsaved(repository: Repository, head: Head, newest: Manifest | None) -> bool:
    """Whether the journal holds a write that the newest backup does not; what cannot be read may be one."""
    tail = Tail(repository, head.lineage, "sync")
    try:
        for start in epochs(beginning(newest), head.epoch):
            async with contextlib.aclosing(tail.read(start)) as objects:
                async for found in objects:
                    if found.records:
                        return True
    except IntegrityError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class Work:
    """What tells one piece of work from another, for the ledger."""

    direction: str
    remote: str
    repository: str
    backup: str = ""

    @property
    def kind(self) -> str:
        """Return the directory's ending: one for each pair of sides."""
        told = f"{self.direction} {self.remote} {self.repository}"
        return f"sync-{self.direction}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        return f"{self.direction} {self.remote} {self.repository} {self.backup}"


def _unnamed(variable: str) -> ConfigError:
    return ConfigError(f"{variable} is missing", hint=f"Set {variable} to the engine's address: https://HOST:6333")


@contextlib.asynccontextmanager
async def _opened(url: str, api_key: str | None, what: str, key_name: str) -> AsyncIterator[Remote]:
    remote = Remote(url, api_key, what=what, key_name=key_name)
    try:
        yield remote
    finally:
        await remote.close()
