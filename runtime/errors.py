"""The errors of the container, each with the exit code it ends a command with.

    RuntimeFailure                    1
    ├── ConfigError                   2
    ├── NothingThere                  3
    ├── IntegrityError                4
    ├── NotTheWriter                  5
    ├── StoreError                    6
    │   ├── StoreDenied               6
    │   ├── StoreUnreachable          6
    │   └── AlreadyExists, PreconditionFailed, ObjectMissing   (answers, caught where they are expected)
    ├── EngineError                   1
    ├── InstanceUnavailable           1
    ├── WritesUnsaved                 1
    └── WrittenMeanwhile              1

Each carries a message (what happened, to what) and a hint (what to do). Raised, never logged and
forgotten; caught where the process or a request ends.
"""

from typing import ClassVar


class RuntimeFailure(Exception):
    """Something failed; the message says what and to what, the hint what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class ConfigError(RuntimeFailure):
    """Settings are missing or wrong; the message lists every one of them."""

    exit_code = 2


class NothingThere(RuntimeFailure):
    """What was asked for does not exist, or there was nothing to do."""

    exit_code = 3


class IntegrityError(RuntimeFailure):
    """Bytes are not what the manifest says: a hash, a size, a count or a form is wrong."""

    exit_code = 4


class NotTheWriter(RuntimeFailure):
    """Another instance owns the lineage now; nothing was committed."""

    exit_code = 5


class StoreError(RuntimeFailure):
    """The bucket refused or failed; never to be read as 'no backup'."""

    exit_code = 6


class StoreDenied(StoreError):
    """The bucket does not exist for this account, or refuses it."""


class StoreUnreachable(StoreError):
    """The bucket did not answer within the deadline, retries included."""


class ObjectMissing(StoreError):
    """No object of that name."""


class AlreadyExists(StoreError):
    """An object of that name is there already, with other content than ours."""


class PreconditionFailed(StoreError):
    """The object's generation is not the expected one."""


class EngineError(RuntimeFailure):
    """Qdrant did not start, died, or answered what it should not."""


class InstanceUnavailable(RuntimeFailure):
    """No instance answered, or it cannot just now; what a request that changes something came to is not known."""


class WritesUnsaved(RuntimeFailure):
    """Acknowledged writes are in no backup yet, or never will be."""


class WrittenMeanwhile(RuntimeFailure):
    """Somebody else committed a version of the directory first; nothing of this upload is visible."""
