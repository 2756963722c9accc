"""HTTP with the right token: Google's APIs and the deployed service.

Owns addresses, headers and time-outs. Judges no answer but its status; what one means is the checks' matter.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from deployment.target import Run, Target

_TIMEOUT: Final = 60
# A backup may take as long as Cloud Run lets a request take.
_LONG: Final = 900


class RefusedError(Exception):
    """An answer other than 2xx."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what} answered {status}: {text[:200]}")
        self.status = status


@dataclass(frozen=True)
class Hosts:
    """Where Google's APIs are."""

    run: str = "https://run.googleapis.com"
    storage: str = "https://storage.googleapis.com"
    logging: str = "https://logging.googleapis.com"
    secrets: str = "https://secretmanager.googleapis.com"
    credentials: str = "https://iamcredentials.googleapis.com"


@dataclass
class Calls:
    """Calls on behalf of whoever runs the checks: a person, or an account without a key that is told by its address."""

    target: Target
    run: Run
    hosts: Hosts = field(default_factory=Hosts)
    account: str = ""
    # A start with a restore, and Cloud Run's own roll-out.
    patience_seconds: float = 420
    _tokens: dict[str, str] = field(default_factory=dict)

    def google(self, method: str, url: str, body: Any = None) -> Any:
        """Call a Google API."""
        token = self._once("access", ["gcloud", "auth", "print-access-token"])
        return _send(method, url, {"Authorization": f"Bearer {token}"}, body, _TIMEOUT)

    def service(self, method: str, path: str, body: Any = None) -> Any:
        """Call the deployed service, as a caller it admits and with its key."""
        headers = {}
        if self.target.private:
            # Cloud Run takes this header and leaves Authorization to the application.
            headers["X-Serverless-Authorization"] = f"Bearer {self._identity()}"
        if self.target.key_secret:
            headers["api-key"] = self._key()
        return _send(method, f"{self.target.url}{path}", headers, body, _LONG)

    def _identity(self) -> str:
        if not self.account:
            return self._once("identity", ["gcloud", "auth", "print-identity-token"])
        if "identity" not in self._tokens:
            # gcloud makes no identity token of a workload's federated credentials; Google's own service does.
            url = f"{self.hosts.credentials}/v1/projects/-/serviceAccounts/{self.account}:generateIdToken"
            answer = self.google("POST", url, {"audience": self.target.url, "includeEmail": True})
            self._tokens["identity"] = str(answer["token"])
        return self._tokens["identity"]

    def _key(self) -> str:
        if "key" not in self._tokens:
            name = f"projects/{self.target.project}/secrets/{self.target.key_secret}/versions/latest"
            answer = self.google("GET", f"{self.hosts.secrets}/v1/{name}:access")
            self._tokens["key"] = base64.b64decode(answer["payload"]["data"]).decode()
        return self._tokens["key"]

    def _once(self, name: str, command: list[str]) -> str:
        if name not in self._tokens:
            self._tokens[name] = self.run(command)
        return self._tokens[name]


def _send(method: str, url: str, headers: dict[str, str], body: Any, timeout: int) -> Any:
    response = requests.request(method, url, headers=headers, json=body, timeout=timeout)
    if not response.ok:
        raise RefusedError(f"{method} {url}", response.status_code, response.text)
    return response.json() if response.content else {}
