"""GitHub's comments of one pull request on a port of this machine, in pages as the API gives them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.fake_server import serving


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

    def answer(self, method: str, path: str, headers: Message, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        url = urlsplit(path)
        if headers["Authorization"] != f"Bearer {self.token}":
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
    with serving(fake) as fake.base:
        yield fake
