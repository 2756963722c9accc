"""One range of an object, delivered in order and in bounded memory.

Owns resuming where the connection was cut, always in the generation that was begun. Checks nothing of the
content: a range has no checksum of its own; the manifest's hashes do that.
"""

import contextlib
import re
from collections.abc import Iterator

import requests

from runtime.errors import IntegrityError
from runtime.repository.gcs_errors import LOST, RETRIED_STATUS
from runtime.repository.gcs_transfer import Transfer
from runtime.repository.store import ByteSink

PERMISSION = "storage.objects.get"
READ_BYTES = 1 << 20
SPAN = re.compile(r"bytes (\d+)-\d+/(\d+)")


def download_range(transfer: Transfer, url: str, offset: int, length: int, sink: ByteSink) -> None:
    """Write the range to the sink. Raises IntegrityError when the object is too short."""
    position, end = offset, offset + length
    generation = ""
    while True:
        reason = "connection lost"
        with _answer(transfer, f"{url}{generation}", position, end) as answer:
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
def _answer(transfer: Transfer, url: str, start: int, end: int) -> Iterator[requests.Response | None]:
    # Encoded content would make the range one of other bytes.
    headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    try:
        answer = transfer.session.get(url, headers=headers, stream=True, timeout=transfer.timeout)
    except LOST:
        yield None
        return
    with answer:
        yield answer


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
    return transfer.explain.status(answer.status_code, answer.text, PERMISSION, transfer.name)


def _too_short(name: str, finding: str) -> IntegrityError:
    return IntegrityError(f"{name} {finding}", hint="It was cut; use an older backup")
