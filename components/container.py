"""What components ask of the container's contract.

Owns no name of it: `__main__` hands over the contract itself, and the type checker holds it against this.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Container(Protocol):
    """Ports, routes, folders and events that the container promises."""

    @property
    def DEFAULT_PORT(self) -> int:
        """Where it serves."""

    @property
    def DEFAULT_AGENT_PORT(self) -> int:
        """Where it answers probes; Cloud Run does not expose it."""

    @property
    def STARTUP_ROUTE(self) -> str:
        """Answers 200 once it has started."""

    @property
    def LIVE_ROUTE(self) -> str:
        """Answers 200 unless it should be killed."""

    @property
    def HEALTH_ROUTE(self) -> str:
        """Answers whether it serves, to anybody."""

    @property
    def STATUS_ROUTE(self) -> str:
        """A page for people."""

    @property
    def SNAPSHOT_ROUTE(self) -> str:
        """Takes a backup now."""

    @property
    def DATA_DIR(self) -> str:
        """The one folder it writes to."""

    @property
    def HEAD_OBJECT(self) -> str:
        """The one object that it overwrites."""

    @property
    def SYNC_LEASE_OBJECT(self) -> str:
        """What lets one pull run at a time: overwritten, by pulls alone."""

    @property
    def VERIFIED_FOLDER(self) -> str:
        """Where verifications are recorded."""

    @property
    def REPOSITORY_FOLDERS(self) -> Sequence[str]:
        """Every folder of the repository."""

    @property
    def QDRANT_API_KEY(self) -> str:
        """The variable of the key for everything."""

    @property
    def QDRANT_READ_ONLY_API_KEY(self) -> str:
        """The variable of the key for reading."""

    @property
    def SOURCE_API_KEY(self) -> str:
        """The variable of the key of what is pulled from."""

    @property
    def SOURCE_URL(self) -> str:
        """The variable that names what is pulled from."""

    @property
    def DRILL_COMMAND(self) -> Sequence[str]:
        """What the drill runs."""

    @property
    def SYNC_COMMAND(self) -> Sequence[str]:
        """What a pull runs."""

    def prune_command(self, *, last: int, hourly: int, daily: int, weekly: int) -> Sequence[str]:
        """Return what pruning runs."""

    @property
    def EVENTS(self) -> Mapping[str, str]:
        """Names in the log of what somebody is told of."""
