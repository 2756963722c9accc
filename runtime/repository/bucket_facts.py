"""What a bucket can be asked about itself, for whoever examines one.

Owns the form of the answer. A directory has no such thing.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """Where a bucket is, and what it keeps of what was deleted or overwritten. `soft_delete_days` 0: nothing."""

    location: str
    location_type: str
    storage_class: str
    versioning: bool
    soft_delete_days: float


@runtime_checkable
class Examinable(Protocol):
    """A store that is a bucket."""

    async def facts(self) -> BucketFacts:
        """Return what the bucket says of itself. Raises StoreDenied when the account may not ask, StoreUnreachable."""

    async def create_with_wrong_checksum(self, name: str) -> None:
        """Try to create an object whose CRC32C is not that of its bytes. Raises IntegrityError when it is refused."""
