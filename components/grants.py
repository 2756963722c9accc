"""Who may do what to which objects of the bucket, as data.

Owns the table; a pure function. `components.bucket` grants what it says. Cloud Storage asks for the right to delete
when an object is overwritten, so that right is held to the names of what an account may replace.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from components.container import Container


class Right(StrEnum):
    """What may be done: read and list, add what is not there, or delete and so replace."""

    READ = "read"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True)
class Grant:
    """A right of a role's account, on the objects named exactly or below a folder; on all of them where none is."""

    title: str
    role: str
    right: Right
    exactly: Sequence[str] = ()
    below: Sequence[str] = ()


def grants(container: Container, prefix: str, roles: Collection[str]) -> list[Grant]:
    """Return what the accounts of these roles may do; roles that are not there are left out."""
    head = f"{prefix}/{container.HEAD_OBJECT}"
    lease = f"{prefix}/{container.SYNC_LEASE_OBJECT}"
    every = [
        Grant("writer-reads", "runtime", Right.READ),
        Grant("writer-adds", "runtime", Right.ADD),
        Grant("writer-replaces-head", "runtime", Right.REMOVE, exactly=[head]),
        Grant("verifier-reads", "verify", Right.READ),
        Grant("verifier-records", "verify", Right.ADD, below=[f"{prefix}/{container.VERIFIED_FOLDER}/"]),
        Grant("pruner-reads", "prune", Right.READ),
        Grant(
            "pruner-deletes",
            "prune",
            Right.REMOVE,
            below=[f"{prefix}/{folder}/" for folder in container.REPOSITORY_FOLDERS],
        ),
        Grant("syncer-reads", "sync", Right.READ),
        Grant("syncer-adds", "sync", Right.ADD, below=[f"{prefix}/"]),
        Grant("syncer-replaces-head", "sync", Right.REMOVE, exactly=[head, lease]),
        Grant("readers-read", "reader", Right.READ),
    ]
    return [grant for grant in every if grant.role in roles]


def condition(bucket: str, grant: Grant) -> str:
    """Return the IAM expression that holds a grant to its objects; nothing where it is on all of them."""
    objects = f"projects/_/buckets/{bucket}/objects"
    named = [f'resource.name == "{objects}/{name}"' for name in grant.exactly]
    return " || ".join([*named, *(f'resource.name.startsWith("{objects}/{folder}")' for folder in grant.below)])
