import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from runtime import selection
from runtime.errors import ConfigError, IntegrityError, NothingThere, RuntimeFailure, StoreDenied, StoreUnreachable
from runtime.repository import names
from runtime.repository.head import Head
from runtime.repository.journal_object import JournalObject, JournalPosition, Kind
from runtime.repository.manifest import Manifest
from runtime.repository.repository import Repository
from runtime.selection import Choice, Start
from runtime.settings import RestoreFallback, RestorePolicy
from tests.support import manifests
from tests.support.faults import always, denied
from tests.support.manifests import manifest_name
from tests.support.model_store import ModelBucket, ModelStore, unreachable


def put(bucket: ModelBucket, name: str, data: bytes) -> None:
    """Store an object."""
    bucket.put("test", "write_new", name, data, 0)


def bucket_of(*backups: tuple[int, int], head: Head | None = None, **objects: bytes) -> ModelBucket:
    """Return a bucket with manifests, by epoch and number, and a HEAD that names the last unless given."""
    bucket = ModelBucket()
    for epoch, seq in backups:
        put(bucket, manifest_name(epoch, seq), manifests.manifest(epoch, seq).encode())
    if head is None and backups:
        head = manifests.head_of(manifests.manifest(*backups[-1]))
    if head is not None:
        put(bucket, names.HEAD, head.encode())
    for name, data in objects.items():
        bucket.objects[name].data = data
    return bucket


def started(bucket: ModelBucket, policy: RestorePolicy, *, production: bool) -> Start:
    """Return how an instance starts on a bucket."""
    start, state = asyncio.run(selection.start(Repository(ModelStore(bucket)), policy, production=production))
    assert (state is None) == (start is Start.NEW_LINEAGE)
    return start


NOTHING: Callable[[], ModelBucket] = ModelBucket
EMPTY: Callable[[], ModelBucket] = partial(bucket_of, head=manifests.head(3))
DATA: Callable[[], ModelBucket] = partial(bucket_of, (1, 1), (1, 2))


def journaled(*kinds: Kind) -> Callable[[], ModelBucket]:
    """Return how to make a lineage without a backup, one journal object of each kind in epochs of their own."""

    def make() -> ModelBucket:
        """Make it."""
        head = manifests.head(len(kinds) + 1)
        bucket = bucket_of(head=head)
        for epoch, kind in enumerate(kinds, 1):
            found = JournalObject(JournalPosition(epoch, 0), head.lineage, kind, "somebody")
            put(bucket, names.journal(epoch, 0), found.encode())
        return bucket

    return make


STARTS: list[tuple[Callable[[], ModelBucket], RestorePolicy, bool, Start | type[RuntimeFailure]]] = [
    (NOTHING, "if-exists", True, Start.NEW_LINEAGE),
    (NOTHING, "if-exists", False, Start.NEW_LINEAGE),
    (NOTHING, "never", True, Start.NEW_LINEAGE),
    (NOTHING, "required", True, NothingThere),
    (EMPTY, "if-exists", True, Start.EMPTY_LINEAGE),
    (EMPTY, "never", True, Start.EMPTY_LINEAGE),
    (EMPTY, "required", False, NothingThere),
    (journaled("seal", "records"), "if-exists", True, Start.EMPTY_LINEAGE),
    (journaled("seal", "records"), "required", True, Start.EMPTY_LINEAGE),
    (journaled("seal", "records"), "never", False, Start.UNRESTORED),
    (journaled("seal", "records"), "never", True, ConfigError),
    (journaled("seal", "seal"), "required", True, NothingThere),
    (journaled("seal", "seal"), "never", True, Start.EMPTY_LINEAGE),
    (DATA, "if-exists", True, Start.RESTORED),
    (DATA, "required", True, Start.RESTORED),
    (DATA, "never", False, Start.UNRESTORED),
    (DATA, "never", True, ConfigError),
]


@pytest.mark.parametrize(("make", "policy", "production", "expected"), STARTS, ids=range(len(STARTS)))
def test_starting_points_are_told_apart(
    make: Callable[[], ModelBucket],
    policy: RestorePolicy,
    production: bool,  # noqa: FBT001 - the table's
    expected: Start | type[RuntimeFailure],
) -> None:
    """Each state of the bucket under each policy is one way to start, or one refusal."""
    if isinstance(expected, Start):
        assert started(make(), policy, production=production) is expected
    else:
        with pytest.raises(expected):
            started(make(), policy, production=production)


@pytest.mark.parametrize("policy", ["if-exists", "required", "never"])
def test_backups_without_head_refuse_the_start(policy: RestorePolicy) -> None:
    """A bucket that holds manifests but no HEAD never starts empty: it names `repair`."""
    bucket = bucket_of((1, 1))
    del bucket.objects[names.HEAD]
    with pytest.raises(IntegrityError, match="repair"):
        started(bucket, policy, production=False)


@pytest.mark.parametrize("policy", ["if-exists", "required", "never"])
def test_a_journal_without_head_refuses_the_start(policy: RestorePolicy) -> None:
    """What was acknowledged is in there, whether or not a backup was taken yet."""
    bucket = journaled("records")()
    del bucket.objects[names.HEAD]
    with pytest.raises(IntegrityError, match="no HEAD"):
        started(bucket, policy, production=False)


@pytest.mark.parametrize("policy", ["if-exists", "required", "never"])
def test_a_damaged_head_refuses_the_start(policy: RestorePolicy) -> None:
    """A HEAD that cannot be read is no missing HEAD."""
    bucket = bucket_of((1, 1))
    bucket.objects[names.HEAD].data = b"{}"
    with pytest.raises(IntegrityError):
        started(bucket, policy, production=False)


@pytest.mark.parametrize("verb", ["read", "list"])
@pytest.mark.parametrize(("error", "raised"), [(denied, StoreDenied), (unreachable, StoreUnreachable)])
def test_an_error_is_never_no_backup(verb: str, error: Callable[[], Exception], raised: type[RuntimeFailure]) -> None:
    """A bucket that refuses or does not answer, to the reading or to the listing, fails the start."""
    store = ModelStore(ModelBucket(), plan=always(verb, error))
    with pytest.raises(raised):
        asyncio.run(selection.start(Repository(store), "if-exists", production=False))


def chosen(
    bucket: ModelBucket, head: Head, fallback: RestoreFallback, *, take: int = 1
) -> tuple[list[Choice], RuntimeFailure | None]:
    """Return what may be restored, asking for so many, and what was raised in the end."""

    async def ask() -> tuple[list[Choice], RuntimeFailure | None]:
        """Ask for one after the other."""
        found: list[Choice] = []
        try:
            async for choice in selection.candidates(Repository(ModelStore(bucket)), head, fallback):
                found.append(choice)
                if len(found) == take:
                    break
        except RuntimeFailure as error:
            return found, error
        return found, None

    return asyncio.run(ask())


BACKUPS = [(1, 1), (2, 2), (3, 3), (3, 4)]
ORPHANS = [(1, 2), (2, 3), (1, 3), (3, 5)]
HEAD = manifests.head_of(manifests.manifest(3, 4))


def damaged(*names_of: tuple[int, int], gone: tuple[tuple[int, int], ...] = ()) -> ModelBucket:
    """Return a bucket with commits and orphans, some of which are damaged or gone."""
    bucket = bucket_of(*ORPHANS, *BACKUPS)
    for name in names_of:
        bucket.objects[manifest_name(*name)].data = b"{}"
    for name in gone:
        del bucket.objects[manifest_name(*name)]
    return bucket


def test_the_newest_backup_comes_first() -> None:
    """With all intact it is what HEAD names, and nothing was passed over."""
    found, error = chosen(damaged(), HEAD, "older")
    assert error is None
    assert found == [Choice(manifest_name(3, 4), manifests.manifest(3, 4))]
    assert found[0].stands_for(HEAD.manifest)
    assert not found[0].stands_for(manifest_name(1, 1))


@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_newest_backup_gives_way_to_the_next_older(*, gone: bool) -> None:
    """The next committed one is taken, never an orphan, and says what it stands in for."""
    bucket = damaged(gone=((3, 4),)) if gone else damaged((3, 4))
    found, _ = chosen(bucket, HEAD, "older")
    assert [choice.name for choice in found] == [manifest_name(3, 3)]
    assert found[0].skipped == (manifest_name(3, 4),)
    assert found[0].stands_for(HEAD.manifest)


def test_every_committed_backup_is_tried_in_order() -> None:
    """Asked on and on, each older committed one comes with all newer ones as passed over, then an error."""
    found, error = chosen(damaged((3, 3)), HEAD, "older", take=99)
    assert [choice.name for choice in found] == [manifest_name(3, 4), manifest_name(2, 2), manifest_name(1, 1)]
    assert [len(choice.skipped) for choice in found] == [0, 2, 3]
    assert isinstance(error, IntegrityError)
    assert "none of the 4 backups" in error.message


@pytest.mark.parametrize("bad", [True, False])
def test_fallback_refuse_takes_the_newest_or_nothing(*, bad: bool) -> None:
    """Damage in the manifest, or found later in a pack, is a refusal."""
    found, error = chosen(damaged((3, 4)) if bad else damaged(), HEAD, "refuse", take=99)
    assert len(found) == (0 if bad else 1)
    assert isinstance(error, IntegrityError)


def test_a_manifest_of_another_lineage_is_damage() -> None:
    """A bucket into which another's manifest was copied does not restore it."""
    bucket = damaged()
    foreign = manifests.manifest(3, 3, lineage="b" * 32)
    _replace(bucket, manifest_name(3, 3), foreign.encode())
    bucket.objects[manifest_name(3, 4)].data = b""
    assert _names(chosen(bucket, HEAD, "older")) == [manifest_name(2, 2)]


def test_a_newest_manifest_of_another_hash_is_damage() -> None:
    """A manifest that is whole but not the one HEAD names by hash is passed over."""
    bucket = damaged()
    other: Manifest = manifests.manifest(3, 4, reason="other")
    _replace(bucket, manifest_name(3, 4), other.encode())
    assert _names(chosen(bucket, HEAD, "older")) == [manifest_name(3, 3)]


def test_a_store_that_fails_does_not_fall_back() -> None:
    """Only damage makes an older backup the newest: an unreachable or refusing bucket is an error."""
    for error in (denied, unreachable):
        store = ModelStore(damaged(), plan=always("read", error))

        async def ask(store: ModelStore = store) -> Any:
            """Ask for the first."""
            return await anext(selection.candidates(Repository(store), HEAD, "older"))

        with pytest.raises((StoreDenied, StoreUnreachable)):
            asyncio.run(ask())


def test_a_lineage_without_a_backup_has_one_choice() -> None:
    """Nothing is what is restored of an empty lineage."""
    found, error = chosen(ModelBucket(), manifests.head(), "older", take=99)
    assert (found, error) == ([Choice(None, None)], None)
    assert found[0].stands_for(None)


def _names(outcome: tuple[list[Choice], RuntimeFailure | None]) -> list[str | None]:
    """Return the names of what may be restored."""
    return [choice.name for choice in outcome[0]]


def _replace(bucket: ModelBucket, name: str, data: bytes) -> None:
    """Put another object in its place, checksum and all."""
    del bucket.objects[name]
    put(bucket, name, data)
    assert hashlib.sha256(data).hexdigest() != HEAD.manifest_sha256
