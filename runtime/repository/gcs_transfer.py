"""What a streamed upload and a streamed download have in common: patience.

Owns the pause before another attempt and the end of patience: a stream may take as long as its bytes do,
but not stand still for longer than the store's deadline.
"""

import random
import time
from dataclasses import dataclass, field

from google.auth.transport.requests import AuthorizedSession

from runtime.repository.gcs_errors import Explainer
from runtime.repository.threads import Abort

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


@dataclass(slots=True)
class Transfer:
    """One stream to or from one object."""

    session: AuthorizedSession
    explain: Explainer
    name: str
    seconds: float
    abort: Abort
    _attempt: int = 0
    _progress_at: float = field(default_factory=time.monotonic)

    @property
    def timeout(self) -> tuple[float, float]:
        """How long one request may be silent: half, so that the question after a lost one fits in too."""
        return (self.seconds / 2, self.seconds / 2)

    def progressed(self) -> None:
        """Say that bytes arrived."""
        self._attempt = 0
        self._progress_at = time.monotonic()

    def pause(self, reason: object) -> None:
        """Wait before another attempt. Raises StoreUnreachable when nothing has moved for too long."""
        if time.monotonic() - self._progress_at > self.seconds:
            raise self.explain.unreachable(f"nothing of {self.name} moved for {self.seconds:g} s: {reason}")
        pause = min(FIRST_PAUSE_SECONDS * 2**self._attempt, LONGEST_PAUSE_SECONDS)
        self._attempt += 1
        # Spread out, so that several instances do not come back at the same moment.
        self.abort.pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
