"""An object's bytes: small ones whole and checked, or a range, in order and in bounded memory.

Owns resuming a range where the connection was cut, always in the generation that was begun. Checks nothing
of a range's content: it has no checksum of its own; the manifest's hashes do that.
"""

import contextlib
import re
from collections.abc import Iterator

import requests

from runtime.errors import IntegrityError
from runtime.repository.checksums import crc32c_of
from runtime.repository.gcs_errors import LOST, RETRIED_STATUS
from runtime.repository.gcs_transfer import Transfer
from runtime.repository.store import ByteSink

PERMISSION = "storage.objects.get"
READ_BYTES = 1 << 20
SPAN = re.compile(r"bytes (\d+)-\d+/(\d+)")


def download_whole(transfer: Transfer, url: str) -> tuple[bytes, int]:
    """Return the bytes and their generation from one answer, compared with the checksum that came along.

    A body that differs is fetched once more: the wire may have been at fault, and the caller would
    otherwise turn to an older backup. (The library's own download never compares a body that it had to ask
    for twice, and leaves a socket open for every 503.)
    """
    differed = False
    while True:
        reason = "connection lost"
        with _answer(transfer, url, {}) as answer:
            if answer is not None and answer.status_code == 200:
                data = _body(answer)
                if data is not None and f"crc32c={crc32c_of(data)}" in answer.headers["X-Goog-Hash"]:
                    return data, int(answer.headers["X-Goog-Generation"])
                if data is not None and differed:
                    raise IntegrityError(
                        f"{transfer.name}: its bytes are not what its checksum says",
                        hint="Use an older backup",
                    )
                differed = data is not None
            elif answer is not None and answer.status_code in RETRIED_STATUS:
                reason = f"HTTP {answer.status_code}"
            elif answer is not None:
                raise _refused(transfer, answer, 0)
        transfer.pause(reason)


def download_range(transfer: Transfer, url: str, offset: int, length: int, sink: ByteSink) -> None:
    """Write the range to the sink. Raises IntegrityError when the object is too short."""
    position, end = offset, offset + length
    generation = ""
    while True:
        reason = "connection lost"
        span = {"Range": f"bytes={position}-{end - 1}"}
        with _answer(transfer, f"{url}{generation}", span) as answer:
            if answer is not None and answer.status_code in {200, 206}:
                _check_span(answer, position, end, transfer.name)
                generation = f"&generation={answer.headers['X-Goog-Generation']}"
                for data in _blocks(answer):
                    transfer.abort.check()
                    sink.write(data)
                    position += len(data)
                    transfer.progressed()
            elif answer is not None and answer.status_code in RETRIED_STATUS:
                reason = f"HTTP {answer.status_code}"
            elif answer is not None:
                raise _refused(transfer, answer, end)
        if position == end:
            return
        transfer.pause(reason)


@contextlib.contextmanager
def _answer(transfer: Transfer, url: str, headers: dict[str, str]) -> Iterator[requests.Response | None]:
    # Encoded content would make the range one of other bytes.
    headers = {**headers, "Accept-Encoding": "identity"}
    try:
        answer = transfer.session.get(url, headers=headers, stream=True, timeout=transfer.timeout)
    except LOST:
        yield None
        return
    with answer:
        yield answer


def _body(answer: requests.Response) -> bytes | None:
    try:
        return answer.content
    except LOST:
        return None


def _blocks(answer: requests.Response) -> Iterator[bytes]:
    while True:
        # Only the reading: what the sink raises is the caller's own, even if it is a ConnectionError.
        try:
            data = answer.raw.read(READ_BYTES)
        except LOST:
            return
        if not data:
            return
        yield data


def _check_span(answer: requests.Response, start: int, end: int, name: str) -> None:
    match = SPAN.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or int(match.group(1)) != start:
        raise IntegrityError(
            f"{name}: bytes from {start} were asked for, others came", hint="Is there a proxy in between?"
        )
    if int(match.group(2)) < end:
        raise _too_short(name, f"has {match.group(2)} bytes, but {end} are needed")


def _refused(transfer: Transfer, answer: requests.Response, end: int) -> Exception:
    if answer.status_code == 416:
        return _too_short(transfer.name, f"has less than the {end} bytes that are needed")
    text = (_body(answer) or b"").decode(errors="replace")
    return transfer.explain.status(answer.status_code, text, PERMISSION, transfer.name)


def _too_short(name: str, finding: str) -> IntegrityError:
    return IntegrityError(f"{name} {finding}", hint="It was cut; use an older backup")
