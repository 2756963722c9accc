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
        self._taken = 0
        self._is_too_large = False

    @property
    def body(self) -> bytes | None:
        """What has come so far; None when it is too large to be kept."""
        if self._is_too_large:
            return None
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]  # kept once: it waits as long as the bucket takes
        return self._pieces[0]

    async def expect(self, size: int) -> None:
        """Take the room of a whole body that began to come. Raises Refused when too much waits already.

        Piece by piece, bodies that are under way together would each wait for room that the others hold.
        """
        if self._recorder is None:
            return
        if size > self._recorder.largest_body:
            self._is_too_large = True
            return
        await self._take(size)

    async def add(self, piece: bytes) -> None:
        """Keep the next piece. Raises Refused when too much waits already."""
        if self._recorder is None or self._is_too_large:
            return
        if self._size + len(piece) > self._recorder.largest_body:
            self._is_too_large = True
            self.release()
            return
        await self._take(self._size + len(piece))
        self._size += len(piece)
        self._pieces.append(piece)

    def release(self) -> None:
        """Keep it no longer."""
        if self._recorder is not None and self._taken:
            self._recorder.give(self._taken)
        self._size = self._taken = 0
        self._pieces.clear()

    async def _take(self, size: int) -> None:
        """Have room for so many bytes in all."""
        if self._recorder is not None and size > self._taken:
            await self._recorder.take(size - self._taken)
            self._taken = size
