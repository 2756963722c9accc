"""One resumable upload of a stream, by the service's own protocol.

Owns the offsets: what the service says it has is the truth, and what it lacks is sent again from the chunk in
memory. Owns the rule that only the end of the source finalises; an error or a cancellation discards the
session. The library's ResumableUpload repeats a chunk without asking for the offset, ends in a ValueError
when the service kept only a part of it, and wants a stream that can tell and seek; hence these lines instead.
"""

import re
from typing import cast

import requests

from runtime.errors import StoreUnreachable
from runtime.repository.gcs_errors import LOST, RETRIED_STATUS
from runtime.repository.gcs_transfer import Transfer
from runtime.repository.read_ahead import ReadAhead
from runtime.repository.store import ObjectInfo

PERMISSION = "storage.objects.create"
PERSISTED = re.compile(r"bytes=0-(\d+)")
DISCARD_SECONDS = 2.0


class ResumableUpload:
    """One session, begun already. `send` it once."""

    def __init__(self, transfer: Transfer, url: str) -> None:
        self._transfer = transfer
        self._url = url
        self._persisted = 0

    def send(self, ahead: ReadAhead) -> ObjectInfo:
        """Send all chunks; the last request carries the checksum, so that the service refuses other bytes."""
        try:
            for chunk, last in ahead.chunks():
                checksum = ahead.passed.encoded() if last else ""
                stored = self._send_chunk(chunk, checksum)
                if stored is not None:
                    return stored
        # Everything, GivenUp and the source's own errors included: whatever it was, nothing may become
        # visible.
        except BaseException:
            self._discard()
            raise
        raise StoreUnreachable(f"The upload of {self._transfer.name} ended without an object", hint="Try again")

    def _send_chunk(self, chunk: memoryview, checksum: str) -> ObjectInfo | None:
        start, end = self._persisted, self._persisted + len(chunk)
        total = str(end) if checksum else "*"
        headers = {"x-goog-hash": f"crc32c={checksum}"} if checksum else {}
        while True:
            self._transfer.abort.check()
            span = f"{self._persisted}-{end - 1}" if end > self._persisted else "*"
            answer = self._put(chunk[self._persisted - start :], f"bytes {span}/{total}", headers)
            if answer is None or answer.status_code in RETRIED_STATUS:
                self._transfer.pause("connection lost" if answer is None else f"HTTP {answer.status_code}")
                answer = self._put(memoryview(b""), f"bytes */{total}", {})
            if answer is None or answer.status_code in RETRIED_STATUS:
                continue
            if answer.status_code in {200, 201}:
                stored = answer.json()
                return ObjectInfo(stored["name"], int(stored["size"]), int(stored["generation"]), stored["crc32c"])
            if answer.status_code != 308:
                raise self._refused(answer)
            if not self._advanced(answer, end):
                self._transfer.pause("the bucket takes no more of it")
            if self._persisted == end and not checksum:
                return None

    def _put(self, body: memoryview, span: str, headers: dict[str, str]) -> requests.Response | None:
        try:
            return self._transfer.session.put(
                self._url,
                # Sent from the buffer without a copy; `requests` says nothing of it in its types.
                data=cast("bytes", body) if body else b"",
                headers={"Content-Range": span, **headers},
                timeout=self._transfer.timeout,
                # 308 is "go on" here, not a redirect.
                allow_redirects=False,
            )
        except LOST:
            return None

    def _advanced(self, answer: requests.Response, end: int) -> bool:
        match = PERSISTED.fullmatch(answer.headers.get("Range", ""))
        persisted = int(match.group(1)) + 1 if match else 0
        if not self._persisted <= persisted <= end:
            raise StoreUnreachable(
                f"The upload of {self._transfer.name} cannot go on: the bucket has {persisted} bytes of it, "
                f"not {self._persisted} to {end}",
                hint="Try again",
            )
        advanced = persisted > self._persisted
        if advanced:
            self._transfer.progressed()
        self._persisted = persisted
        return advanced

    def _refused(self, answer: requests.Response) -> Exception:
        if answer.status_code in {404, 410, 499}:
            return StoreUnreachable(f"The bucket forgot the upload of {self._transfer.name}", hint="Try again")
        explain = self._transfer.explain
        return explain.status(answer.status_code, answer.text, PERMISSION, self._transfer.name)

    def _discard(self) -> None:
        # Tidiness alone: an unfinished session is invisible and forgotten after a week.
        try:
            self._transfer.session.delete(self._url, timeout=DISCARD_SECONDS)
        except LOST:
            return
