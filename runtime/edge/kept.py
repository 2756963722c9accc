"""A write's body, kept until it is recorded.

Owns the counting of what waits in memory, and that a body too large to keep is not kept.
"""

from runtime.edge.recording import Recorder


class Kept:
    """One body as it comes, in pieces. Release it in the end. Without a recorder nothing is kept."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_too_large = False

    @property
    def body(self) -> bytes | None:
        """What has come so far; None when it is too large to be kept."""
        return None if self._is_too_large else b"".join(self._pieces)

    async def add(self, piece: bytes) -> None:
        """Keep the next piece. Raises Refused when too much waits already."""
        if self._recorder is None or self._is_too_large:
            return
        if self._size + len(piece) > self._recorder.largest_body:
            self._is_too_large = True
            self.release()
            return
        await self._recorder.take(len(piece))
        self._size += len(piece)
        self._pieces.append(piece)

    def release(self) -> None:
        """Keep it no longer."""
        if self._recorder is not None and self._size:
            self._recorder.give(self._size)
        self._size = 0
        self._pieces.clear()
