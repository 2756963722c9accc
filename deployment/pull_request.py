"""The one comment on a pull request that tells what it would change.

Owns finding it again and the calls to GitHub. Posts nothing else and reads nothing but comments.
"""

from dataclasses import dataclass
from typing import Any, Final

import requests

from deployment.report import MARK

_TIMEOUT: Final = 30
_PAGE: Final = 100
_PAGES: Final = 30


class NotCommentedError(Exception):
    """GitHub did not take the comment; the message tells what it answered."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request of a repository (owner/name), and a token that may comment on it."""

    api: str
    repository: str
    number: int
    token: str

    def renew_comment(self, text: str) -> str:
        """Write the comment, over the one of an earlier run where there is one; return its address."""
        found = self._own_comment()
        base = f"{self.api}/repos/{self.repository}/issues"
        if found is None:
            answer = self._call("POST", f"{base}/{self.number}/comments", {"body": text})
        else:
            answer = self._call("PATCH", f"{base}/comments/{found}", {"body": text})
        return str(answer.get("html_url", ""))

    def _own_comment(self) -> int | None:
        for page in range(1, _PAGES + 1):
            url = f"{self.api}/repos/{self.repository}/issues/{self.number}/comments?per_page={_PAGE}&page={page}"
            comments = self._call("GET", url)
            for comment in comments:
                # The mark alone could be quoted by anybody; only a bot's comment is ours to change.
                if comment["body"].startswith(MARK) and comment["user"]["type"] == "Bot":
                    return int(comment["id"])
            if len(comments) < _PAGE:
                return None
        return None

    def _call(self, method: str, url: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"}
        response = requests.request(method, url, headers=headers, json=body, timeout=_TIMEOUT)
        if not response.ok:
            raise NotCommentedError(f"{method} {url} answered {response.status_code}: {response.text[:200]}")
        return response.json()
