"""GitHub's comments of one pull request on a port of this machine, in pages as the API gives them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class FakeGitHub:
    """The comments there are, oldest first."""

    base: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    token: str = "token-of-the-run"

    def add(self, body: str, *, kind: str = "User") -> None:
        """Put a comment there."""
        identifier = len(self.comments) + 1
        self.comments.append(
            {"id": identifier, "body": body, "user": {"type": kind}, "html_url": f"https://example/c/{identifier}"}
        )

    def answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        url = urlsplit(path)
        if authorization != f"Bearer {self.token}":
            return 403, {"message": "Resource not accessible by integration"}
        if method == "GET":
            query = parse_qs(url.query)
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[size * (page - 1) : size * page]
        if method == "POST":
            self.add(body["body"], kind="Bot")
            return 201, self.comments[-1]
        found = self.comments[int(url.path.rpartition("/")[2]) - 1]
        found["body"] = body["body"]
        return 200, found


@contextmanager
def github() -> Iterator[FakeGitHub]:
    """Serve a fake."""
    fake = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        """Reads the request and writes the fake's answer."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base names it
            """Stay quiet."""

        def _handle(self) -> None:
            """Hand the request to the fake."""
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = fake.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815 - names that http.server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
