"""The client against a server that answers anything: what each answer becomes, and what is never sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime import Backups
from runtime.errors import (
    ConfigError,
    InstanceUnavailable,
    IntegrityError,
    NothingThere,
    NotTheWriter,
    RuntimeFailure,
    StoreUnreachable,
    WritesUnsaved,
)

KEY = "a-secret-key"
HEALTH = {
    "status": "ok",
    "role": "writer",
    "instance": "one",
    "fenced": False,
    "lost_writes": 0,
    "backup": {"newest": "manifests/x", "unsaved_writes": 0, "unsaved_seconds": None, "last_error": None},
    "store": {"error": None},
    "restore": None,
}
Answer = tuple[int, Any, dict[str, str]]


def health(**more: Any) -> Answer:
    """Return what an instance says; `unsaved` is (writes, seconds)."""
    writes, seconds = more.pop("unsaved", (0, None))
    backup = {**HEALTH["backup"], "unsaved_writes": writes, "unsaved_seconds": seconds}  # type: ignore[dict-item]
    return 200, {**HEALTH, "backup": backup, **more}, {}


def refusal(status: int, message: str, **more: str) -> Answer:
    """Return an error in the instance's form."""
    return status, {"status": {"error": message}, "time": 0.0, **more}, {}


@dataclass
class Stub:
    """A server; `answer` decides by the number and the path of a request."""

    answer: Callable[[int, str], Answer]
    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def stub(answer: Callable[[int, str], Answer]) -> Iterator[Stub]:
    """Run one."""
    served = Stub(answer)
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        """Answers as planned; a body of None never ends."""

        def handle_any(self) -> None:
            """Note the request, answer it."""
            served.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            status, body, headers = served.answer(len(served.asked) - 1, self.path)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) + (body is None)))
            self.end_headers()
            if body is None:
                self.wfile.flush()
                done.wait(30)
            else:
                self.wfile.write(data)

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (refusal(401, "needs the api key"), ConfigError, "QDRANT_API_KEY"),
        (refusal(403, "can look"), ConfigError, "can look"),
        (refusal(404, "no backup x", kind="NothingThere"), NothingThere, "no backup x"),
        ((404, {"detail": "Not Found"}, {}), ConfigError, "no such route"),
        (refusal(409, "not the writer", kind="NotTheWriter"), NotTheWriter, "not the writer"),
        (refusal(429, "too many"), InstanceUnavailable, "try again"),
        (refusal(500, "wrong hash", kind="IntegrityError"), IntegrityError, "wrong hash"),
        (refusal(500, "broke", kind="BaseException"), RuntimeFailure, "broke"),
        (refusal(503, "restoring"), InstanceUnavailable, "restoring"),
        (refusal(503, "the bucket is away", kind="StoreUnreachable"), StoreUnreachable, "the bucket is away"),
        ((200, b"<html>", {}), RuntimeFailure, "not of the form"),
        ((200, [1], {}), RuntimeFailure, "not of the form"),
        ((302, {}, {"Location": "http://127.0.0.1:9/"}), ConfigError, "leads elsewhere"),
    ],
)
def test_each_refusal_is_an_error_of_its_own_and_nothing_is_sent_twice(
    answer: Answer, kind: type[Exception], says: str
) -> None:
    """By the name that the instance gives, else by the status; one request, whatever comes back."""
    with stub(lambda _number, _path: answer) as server:
        with pytest.raises(kind, match=says) as raised:
            Backups(server.url, KEY).restore("00000001-0000000001")
        assert type(raised.value) is kind
        assert KEY not in str(raised.value)
        assert [(method, path) for method, path, _ in server.asked] == [
            ("POST", "/api/backups/00000001-0000000001/rollback")
        ]


def test_an_answer_that_does_not_end_is_given_up_in_time() -> None:
    """The deadline is the call's, and what a POST came to is said to be unknown."""
    with stub(lambda _number, _path: (200, None, {})) as server:
        with pytest.raises(InstanceUnavailable, match="is not known"):
            Backups(server.url, KEY).backup(timeout_seconds=0.5)
        with pytest.raises(InstanceUnavailable, match="within"):
            Backups(server.url, KEY, timeout_seconds=0.5).list()


def test_nobody_there_is_an_error_that_says_so() -> None:
    """With the address, and without the key."""
    with stub(lambda _number, _path: health()) as server:
        url = server.url
    with pytest.raises(InstanceUnavailable, match="whether the instance runs") as raised:
        Backups(url, KEY).status()
    assert KEY not in repr(raised.value.__cause__)


@pytest.mark.parametrize("key", ["", "with\nline", "with space", "schlüssel", "line-end\n"])
def test_a_key_that_no_header_may_hold_is_refused_unseen(key: str) -> None:
    """At once, and never shown: http libraries put it into their errors."""
    with pytest.raises(ConfigError, match="line end") as raised:
        Backups("http://127.0.0.1:1", key)
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "https://", "https://user:pass@host"])
def test_an_address_that_is_none_is_refused_unseen(url: str) -> None:
    """At once; one with a password in it is not repeated."""
    with pytest.raises(ConfigError, match=r"https://service\.example") as raised:
        Backups(url)
    assert "pass" not in str(raised.value)


def test_the_key_and_the_identity_take_neither_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key as `api-key`, the token beside it, and no password out of .netrc, no proxy to this machine."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    tokens = iter(["token-1", "token-2"])
    with stub(lambda _number, _path: (200, {"backups": []}, {})) as server:
        backups = Backups(server.url + "/", KEY, identity=lambda: next(tokens))
        backups.list()
        backups.list()
        sent = [headers for _, _, headers in server.asked]
    assert [headers["x-serverless-authorization"] for headers in sent] == ["Bearer token-1", "Bearer token-2"]
    assert [headers["api-key"] for headers in sent] == [KEY, KEY]
    assert not any("authorization" in headers for headers in sent)


def waits(*answers: Answer, timeout: float = 20.0, saved: bool = True) -> tuple[int, str]:
    """Wait against these answers, the last of them for ever; return how often /health was asked, and who said so."""
    asked = [0]

    def answer(_number: int, path: str) -> Answer:
        """Answer the health route in turn."""
        if path != "/health":
            return 200, {"backups": [], "saved": saved}, {}
        asked[0] += 1
        return answers[min(asked[0], len(answers)) - 1]

    with stub(answer) as server:
        status = Backups(server.url, KEY).wait_until_saved(timeout)
    return asked[0], status.instance


def test_waiting_ends_when_what_was_acknowledged_before_is_saved() -> None:
    """Also while writes go on: what counts is the age of the oldest unsaved one."""
    assert waits(health())[0] == 1
    assert waits(health(unsaved=(3, 9.0)), refusal(503, "restoring"), health())[0] == 3
    # One write younger than the wait: those before it are saved.
    assert waits(health(unsaved=(3, 0.0)))[0] > 1
    assert waits(health(role="standby"))[0] == 1


def test_waiting_outlasts_a_bucket_that_is_away_for_a_moment() -> None:
    """A standby that cannot read HEAD just now is asked again."""

    def answer(number: int, path: str) -> Answer:
        """Fail once."""
        if path == "/health":
            return health(role="standby")
        return (
            refusal(503, "away", kind="StoreUnreachable") if number < 2 else (200, {"backups": [], "saved": True}, {})
        )

    with stub(answer) as server:
        assert Backups(server.url, KEY).wait_until_saved(20).role == "standby"
        assert len(server.asked) == 4


def test_waiting_ends_with_what_is_wrong() -> None:
    """In time, with the instance's own reason."""
    with pytest.raises(WritesUnsaved, match="3 writes are not saved"):
        waits(health(unsaved=(3, 9.0)), timeout=2)
    with pytest.raises(WritesUnsaved, match="the bucket is away"):
        waits(health(unsaved=(3, 9.0), store={"error": "the bucket is away"}), timeout=2)
    with pytest.raises(WritesUnsaved, match="within"):
        waits(health(role="standby"), saved=False, timeout=2)
    with pytest.raises(WritesUnsaved, match="within"):
        waits(health(role="restoring"), timeout=0.3)
    with pytest.raises(WritesUnsaved, match="no time to ask"):
        waits(health(), timeout=0)


def test_writes_that_were_lost_meanwhile_are_not_called_saved() -> None:
    """The instance lost them to another, or ended without saving and another took over by force."""
    unsaved = health(unsaved=(3, 9.0))
    with pytest.raises(WritesUnsaved, match="3 acknowledged writes are lost"):
        waits(unsaved, health(role="standby", fenced=True, lost_writes=3))
    with pytest.raises(WritesUnsaved, match="ended without saving"):
        waits(unsaved, health(instance="two", restore={"forced": True}))
    # A hand-over is none of these; what another lost long ago is not ours.
    assert waits(unsaved, health(instance="two", restore={"forced": False}, lost_writes=5)) == (2, "two")


def test_a_restore_that_is_not_served_yet_is_no_success() -> None:
    """It was committed: the error says so, and not to do it again."""
    answer = {"backup": "b", "to": "a", "newest_before": "n", "points": {}, "serving": False}
    with stub(lambda _number, _path: (200, answer, {})) as server:
        with pytest.raises(InstanceUnavailable, match="Do not restore again"):
            Backups(server.url, KEY).rollback("a")
        assert len(server.asked) == 1


def test_damage_found_by_a_verification_is_returned() -> None:
    """500 with a report is a report."""
    report = {"backup": "b", "ok": False, "damage": [{"what": "packs/x", "problem": "is missing"}]}
    with stub(lambda _number, _path: (500, report, {})) as server:
        found = Backups(server.url, KEY).verify()
    assert (found.ok, found.damage) == (False, (("packs/x", "is missing"),))
