"""Packs: the tar as Qdrant streamed it, less the files that an earlier pack holds already.

Owns how a stream becomes a pack and the entries that find its files again. Knows no store and no engine: bytes come
from a tar stream and leave through `read`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping

from runtime.errors import IntegrityError
from runtime.repository.manifest import FileEntry
from runtime.tar import END_OF_ARCHIVE, Member, TarStream, padding

# A file is sent before its hash is known unless it is kept back. Up to this size it is, and an equal one dropped;
# of a larger one it has to be known beforehand that it did not change.
_KEPT_BACK = 1024 * 1024

_LONGEST_NOTE = 16 * 1024 * 1024


class PackSource:
    """A pack being made, as the bytes to upload. Used from one thread, read once.

    `place` maps a stream's path to the path a file is restored to, or to None for a member that is noted in `notes`
    and not kept. `unchanged` tells of a large file that it is still what an entry says; it is believed only if the
    stream turns out to hold the same. When `read` has returned b'', `files` holds every file of the stream, dropped
    ones with their entry of `known`, and `sha256` the pack's hash.
    """

    def __init__(
        self,
        pack: str,
        stream: TarStream,
        place: Callable[[str], str | None],
        known: Mapping[str, FileEntry],
        unchanged: Callable[[str, FileEntry], bool] = lambda _path, _entry: False,
    ) -> None:
        self._pack = pack
        self._stream = stream
        self._place = place
        self._known = known
        self._unchanged = unchanged
        self._chunks = self._produce()
        self._failure: BaseException | None = None
        self._rest = b""
        self._hash = hashlib.sha256()
        self.files: dict[str, FileEntry] = {}
        self.notes: dict[str, bytes] = {}
        self.streamed_bytes = 0
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of what was read so far."""
        return self._hash.hexdigest()

    def has_anything(self) -> bool:
        """Read the stream up to the first file that has to be kept; False when there is none: no pack is needed."""
        self._rest = self._rest or self._next()
        return bool(self._rest)

    def read(self, size: int) -> bytes:
        """Return the pack's next bytes."""
        chunk = self._rest or self._next()
        chunk, self._rest = chunk[:size], chunk[size:]
        self._hash.update(chunk)
        self.bytes += len(chunk)
        return chunk

    def _next(self) -> bytes:
        # A generator that raised is at its end: read once more, a cut pack would look whole.
        if self._failure is not None:
            raise self._failure
        try:
            return next(self._chunks, b"")
        except BaseException as failure:
            self._failure = failure
            raise

    def _produce(self) -> Iterator[bytes]:
        offset = 0
        for member in self._stream:
            if not member.is_file:
                continue
            path = self._place(member.path)
            if path in self.files or member.path in self.notes:
                raise IntegrityError(f"the stream holds {member.path!r} twice")
            if path is None:
                self.notes[member.path] = self._note(member)
                continue
            self.streamed_bytes += member.stored
            data_at = offset + len(member.header)
            for chunk in self._member(member, path, data_at):
                offset += len(chunk)
                yield chunk
        if offset:
            yield END_OF_ARCHIVE

    def _member(self, member: Member, path: str, data_at: int) -> Iterator[bytes]:
        digest = hashlib.sha256()
        known = self._known.get(path)
        if known is not None and (known.size, known.holes) != (member.size, member.holes):
            known = None
        if known is not None and member.stored <= _KEPT_BACK:
            body = b"".join(self._stream.data())
            digest.update(body)
            if digest.hexdigest() == known.sha256:
                self.files[path] = known
                return
            yield member.header + body
        elif known is not None and self._unchanged(path, known):
            for chunk in self._stream.data():
                digest.update(chunk)
            if digest.hexdigest() != known.sha256:
                raise IntegrityError(f"{path} changed between its file and its stream")
            self.files[path] = known
            return
        else:
            yield member.header
            for chunk in self._stream.data():
                digest.update(chunk)
                yield chunk
        self.files[path] = FileEntry(self._pack, data_at, member.size, member.holes, digest.hexdigest())
        if fill := padding(member.stored):
            yield b"\0" * fill

    def _note(self, member: Member) -> bytes:
        if member.stored > _LONGEST_NOTE:
            raise IntegrityError(f"the stream holds {member.path!r} of {member.stored} bytes")
        return b"".join(self._stream.data())
