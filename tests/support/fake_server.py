"""A fake of somebody's JSON API on a port of this machine: the server, not the answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Answers(Protocol):
    """What answers a request: method, path with its query, headers, and the body's JSON or None."""

    def answer(self, method: str, path: str, headers: Message, body: Any) -> tuple[int, Any]:
        """Return the status and what becomes the answer's JSON."""


@contextmanager
def serving(fake: Answers) -> Iterator[str]:
    """Serve a fake; give the address of it."""

    class Handler(BaseHTTPRequestHandler):
        """Reads the request and writes the fake's answer."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base names it
            """Stay quiet."""

        def _handle(self) -> None:
            """Hand the request to the fake."""
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = fake.answer(self.command, self.path, self.headers, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - names that http.server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
