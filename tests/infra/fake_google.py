"""Google's APIs and a deployed service on a port of this machine, as far as the deployment checks call them.

Behaves well unless told otherwise: `wrong` changes an answer by its path.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from deployment.calls import Hosts
from tests.support.fake_server import serving

KEY = "the-key-of-the-service"
IMAGE = "r/qdrant@sha256:" + "a" * 64


@dataclass
class FakeGoogle:
    """What is deployed, and what was asked."""

    base: str = ""
    wrong: dict[str, tuple[int, Any]] = field(default_factory=dict)
    template: dict[str, Any] = field(default_factory=lambda: {"containers": [{"image": IMAGE}]})
    revisions: int = 1
    executions: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "qdrant-dev-verify": {
                "name": "jobs/qdrant-dev-verify/executions/x1",
                "completionStatus": "EXECUTION_SUCCEEDED",
                "completionTime": "2026-11-26T03:04:05Z",
            }
        }
    )
    image: str = IMAGE
    job_image: str = IMAGE
    traffic: list[dict[str, Any]] = field(default_factory=lambda: [{"type": "LATEST", "percent": 100}])
    loses_writes: bool = False
    # Revisions whose instance answers that it is not well.
    ill: set[int] = field(default_factory=set)
    deployed: bool = True
    points: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> Hosts:
        """Where it listens, for every API."""
        return Hosts(run=self.base, storage=self.base, logging=self.base, secrets=self.base, credentials=self.base)

    @property
    def serving(self) -> int:
        """The revision that gets the requests, by number."""
        return int(self.traffic[0].get("revision", str(self.revisions)))

    def deploy(self, image: str) -> None:
        """Make a revision of an image and give it to the jobs, as a deployment that refreshed first does."""
        self.job_image = image
        self.image, self.template, self.deployed = image, {"containers": [{"image": image}]}, True
        self.traffic = [{"type": "LATEST", "percent": 100}]
        self.revisions += 1

    def command(self, command: list[str]) -> str:
        """Answer gcloud and pulumi."""
        if command[0] == "gcloud":
            return f"token-{command[2]}"
        if command[:3] == ["pulumi", "stack", "output"]:
            return json.dumps(
                {
                    "url": self.base,
                    "service": "qdrant-dev",
                    "bucket": "backups",
                    "image": self.image,
                    "project": "acme-search",
                    "region": "europe-west1",
                    "verifyJob": "qdrant-dev-verify",
                    "pruneJob": "qdrant-dev-prune",
                    "runtimeAccount": "qdrant-dev-runtime@acme-search.iam.gserviceaccount.com",
                    "idTokenCommand": "gcloud auth print-identity-token",
                    "apiKeySecret": "qdrant-dev-api-key",
                }
            )
        return ""

    def answer(self, method: str, path: str, headers: Message, body: Any) -> tuple[int, Any]:  # noqa: PLR0911 - one an answer
        """Answer a request."""
        plain = path.partition("?")[0]
        if plain in self.wrong:
            return self.wrong[plain]
        if plain.startswith(("/collections", "/api", "/health")):
            return self._service(method, plain, headers, body)
        if headers.get("Authorization") != "Bearer token-print-access-token":
            self.refused.append(path)
            return 401, {}
        if plain.endswith(":generateIdToken"):
            account = plain.rpartition("/")[2].partition(":")[0]
            return 200, {"token": f"identity of {account} for {body['audience']}"}
        if plain.endswith("/services/qdrant-dev"):
            return self._run(method, body)
        if "/jobs/" in plain:
            name = plain.rpartition("/")[2]
            execution = {"latestCreatedExecution": self.executions[name]} if name in self.executions else {}
            return 200, {
                "terminalCondition": {"state": "CONDITION_SUCCEEDED"},
                "template": {"template": {"containers": [{"image": self.job_image}]}},
                **execution,
            }
        return 200, {
            "/v2/entries:list": {"entries": [{"jsonPayload": {"event": "backup.committed"}}]},
            "/storage/v1/b/backups/iam": {
                "bindings": [
                    {"role": "roles/storage.legacyBucketOwner", "members": ["projectOwner:acme-search"]},
                    {
                        "role": "roles/storage.objectCreator",
                        "members": ["serviceAccount:qdrant-dev-runtime@acme-search.iam.gserviceaccount.com"],
                    },
                ]
            },
        }.get(plain, {"payload": {"data": base64.b64encode(KEY.encode()).decode()}})

    def _run(self, method: str, body: Any) -> tuple[int, Any]:
        """Answer for Cloud Run; a changed template is a new revision."""
        if method == "PATCH" and "traffic" in body:
            self.traffic = body["traffic"]
        elif method == "PATCH":
            self.template = body["template"]
            self.revisions += 1
            if self.loses_writes:
                self.points.clear()
        name = f"services/qdrant-dev/revisions/{self.revisions}"
        return 200, {
            "terminalCondition": {"state": "CONDITION_SUCCEEDED"},
            "latestReadyRevision": name,
            "latestCreatedRevision": name,
            "template": self.template,
            "trafficStatuses": self.traffic,
        }

    def _service(self, method: str, path: str, headers: Any, body: Any) -> tuple[int, Any]:
        """Answer for the deployed service, to callers with its key and a token."""
        if headers.get("api-key") != KEY or not headers.get("X-Serverless-Authorization"):
            self.refused.append(path)
            return 403, {}
        self.tokens.add(headers["X-Serverless-Authorization"])
        if path == "/health" and self.serving in self.ill:
            return 503, {"status": "restoring"}
        if path == "/health":
            return 200, {"status": "ok", "role": "writer"}
        if path == "/api/snapshot":
            return 200, {
                "targets": [{"collection": "a", "status": "completed"}],
                "backup": "00000001-0000000007",
            }
        if method == "PUT" and path.endswith("/points"):
            self.points["1"] = body["points"][0]
        if method == "GET":
            return (200, {"result": self.points["1"]}) if "1" in self.points else (404, {})
        return 200, {"result": True}


@contextmanager
def google() -> Iterator[FakeGoogle]:
    """Serve a fake on a port of this machine."""
    fake = FakeGoogle()
    with serving(fake) as fake.base:
        yield fake
