"""The client for applications: save now, list, go back, wait until everything is saved.

Owns the requests to an instance's control routes and what their answers mean. Blocking calls, each with a deadline;
needs `requests` and nothing of the container. No request that changes something is ever sent twice.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import requests

from runtime import answers, contract, errors
from runtime.answers import Backup, BackupDetails, RestoreResult, SaveResult, Status, Verification
from runtime.errors import ConfigError, InstanceUnavailable, RuntimeFailure, StoreError, WritesUnsaved

_CONNECT_SECONDS: Final = 10.0
# A list of many thousand backups; more than that is no answer of ours.
_MOST_BYTES: Final = 64 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.2
# /health tells the age of the oldest unsaved write in tenths of a second.
_ROUNDING_SECONDS: Final = 0.1
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


class Backups:
    """The backups of the instance behind `url`. May be used from several threads.

    `api_key` is Qdrant's full key; the read-only one can list and look. `identity` returns a Google ID token for a
    private service, called for each request. `timeout_seconds` is the deadline of a request that only looks.
    Raises ConfigError at once for what could never work.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        identity: Callable[[], str] | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ConfigError(
                "the address is not that of an instance", hint="Use https://service.example or http://127.0.0.1:8080"
            )
        self._url = url.rstrip("/")
        self._is_local = parts.hostname in _THIS_MACHINE
        self._key = None if api_key is None else _sendable(api_key, "the api key")
        self._identity = identity
        self._seconds = timeout_seconds

    def __repr__(self) -> str:
        return f"Backups({self._url!r})"

    def backup(self, *, timeout_seconds: float = 1800.0) -> SaveResult:
        """Save now; return when everything acknowledged before is in a committed backup.

        `committed` is False when there was nothing to save. Raises NotTheWriter, InstanceUnavailable, IntegrityError.
        """
        return answers.save_result(self._done("POST", contract.SNAPSHOT_ROUTE, timeout_seconds))

    def list(self) -> tuple[Backup, ...]:
        """Return the committed backups, newest first. Raises InstanceUnavailable."""
        return answers.backups(self._done("GET", contract.BACKUPS_ROUTE))

    def show(self, identifier: str) -> BackupDetails:
        """Return what one backup holds. Raises NothingThere, IntegrityError, InstanceUnavailable."""
        return answers.details(self._done("GET", f"{contract.BACKUPS_ROUTE}/{quote(identifier, safe='')}"))

    def restore(self, identifier: str, *, timeout_seconds: float = 290.0) -> RestoreResult:
        """Go back to a backup: its content becomes the newest backup, and the instance serves it when this returns.

        Nothing is lost: what was acknowledged before is saved first, as a backup to go back to. What is written
        afterwards is written on top of the older state. Collections that the backup does not hold are gone.
        Raises NothingThere (no such backup, or it is the newest and nothing was written since), IntegrityError (it is
        damaged; nothing was changed), NotTheWriter, and InstanceUnavailable when the instance did not say in time
        that it serves the backup: `list()` then tells whether it was committed.
        """
        route = contract.ROLLBACK_ROUTE.format(identifier=quote(identifier, safe=""))
        result = answers.restore_result(self._done("POST", route, timeout_seconds))
        if not result.serving:
            raise InstanceUnavailable(
                f"backup {result.backup} was committed with the content of {identifier}, and is not served yet",
                hint="Do not restore again: it is being placed, or another instance writes; look at status()",
            )
        return result

    def rollback(self, identifier: str, *, timeout_seconds: float = 290.0) -> RestoreResult:
        """Go back to a backup: `restore` by the command's name."""
        return self.restore(identifier, timeout_seconds=timeout_seconds)

    def verify(self, *, timeout_seconds: float = 300.0) -> Verification:
        """Compare the newest backup with what the bucket holds. One that finds damage is returned, not raised."""
        status, answer = self._ask("POST", contract.VERIFY_ROUTE, timeout_seconds)
        return answers.verification(answer if "damage" in answer else _good(status, answer))

    def status(self) -> Status:
        """Return what the instance says of itself, also while it restores. Raises InstanceUnavailable."""
        return self._status(self._seconds)

    def wait_until_saved(self, timeout: float = 120.0) -> Status:
        """Wait until all that was acknowledged before this call is in a committed backup; `timeout` in seconds.

        It asks for no backup: the instance saves by its own schedule. Writes that go on meanwhile do not matter, nor
        does an instance that is away for a moment. Raises WritesUnsaved when it takes longer, or when writes were lost
        while this waited; one that died before it first answered here cannot be told from one that never was.
        """
        began = time.monotonic()
        deadline = began + timeout
        reason = ""
        lost: dict[str, int] = {}
        while (left := deadline - time.monotonic()) > 0:
            waited = time.monotonic() - began
            try:
                status = self._status(min(left, self._seconds))
                _refuse_losses(status, lost)
                if self._is_saved(status, waited, deadline):
                    return status
                reason = status.store_error or status.backup_error or f"{status.unsaved_writes} writes are not saved"
            except (InstanceUnavailable, StoreError) as error:
                # That the last request was cut off by this deadline says less than what was known before.
                reason = str(error) if time.monotonic() < deadline else reason or str(error)
            time.sleep(max(0.0, min(_POLL_SECONDS, deadline - time.monotonic())))
        raise WritesUnsaved(
            f"not everything was known to be saved within {timeout:g} s: {reason or 'there was no time to ask'}",
            hint="Call backup() to save at once, or wait longer",
        )

    def _is_saved(self, status: Status, waited: float, deadline: float) -> bool:
        """Whether what was acknowledged `waited` seconds before the status was asked for, or earlier, is saved."""
        if status.role == "writer":
            age = status.unsaved_seconds
            return age is None or age + _ROUNDING_SECONDS < waited
        if status.role != "standby":
            return False
        # Another instance may write. That none does, the bucket knows.
        seconds = max(0.1, min(self._seconds, deadline - time.monotonic()))
        return bool(self._done("GET", contract.BACKUPS_ROUTE, seconds).get("saved"))

    def _status(self, seconds: float) -> Status:
        code, answer = self._ask("GET", contract.HEALTH_ROUTE, seconds)
        return answers.status(answer if "role" in answer else _good(code, answer))

    def _done(self, method: str, path: str, seconds: float | None = None) -> Mapping[str, Any]:
        return _good(*self._ask(method, path, self._seconds if seconds is None else seconds))

    def _ask(self, method: str, path: str, seconds: float) -> tuple[int, Mapping[str, Any]]:
        """Send one request, once; return status and answer. Raises InstanceUnavailable when there is none in time."""
        deadline = time.monotonic() + seconds
        with self._explained(method, path, seconds), requests.Session() as session:
            # A proxy of the environment cannot reach an instance on this machine.
            session.trust_env = not self._is_local
            with session.request(
                method,
                self._url + path,
                headers=self._headers(),
                auth=_unchanged,
                timeout=(min(_CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = bytearray()
                for piece in response.iter_content(_READ_BYTES):
                    body += piece
                    if time.monotonic() > deadline or len(body) > _MOST_BYTES:
                        raise requests.Timeout("the answer did not end")
        if 300 <= response.status_code < 400:
            raise ConfigError(f"{self._url} leads elsewhere", hint="Use the address that it leads to")
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        return response.status_code, answer if isinstance(answer, dict) else {}

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["api-key"] = self._key
        if self._identity is not None:
            headers["X-Serverless-Authorization"] = f"Bearer {_sendable(self._identity(), 'the identity token')}"
        return headers

    @contextlib.contextmanager
    def _explained(self, method: str, path: str, seconds: float) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except requests.RequestException as error:
            is_late = time.monotonic() - began >= seconds
            what = f"no answer within {seconds:g} s" if is_late else f"no instance answers ({type(error).__name__})"
            unsure = "" if method == "GET" else "; whether it was done is not known"
            raise InstanceUnavailable(
                f"{what} at {self._url}{path}{unsure}",
                hint="Check the address, and whether the instance runs",
            ) from error


def _refuse_losses(status: Status, lost: dict[str, int]) -> None:
    """Raise WritesUnsaved when writes were lost since the first answer; `lost` keeps what each instance had lost."""
    if status.forced and lost and status.instance not in lost:
        raise WritesUnsaved(
            "the instance that had unsaved writes ended without saving them, and another took over",
            hint="Compare what is there with what was written, and write again what is missing",
        )
    if (more := status.lost_writes - lost.setdefault(status.instance, status.lost_writes)) > 0:
        raise WritesUnsaved(
            f"another instance took over; {more} acknowledged writes are lost",
            hint="Compare what is there with what was written, and write again what is missing",
        )


def _good(status: int, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of a request that was served. Raises what it was refused with."""
    if status == 200:
        return answer
    told = answer.get("status")
    message = str(told.get("error")) if isinstance(told, dict) else f"the service answered {status}"
    kind = getattr(errors, str(answer.get("kind")), None)
    if isinstance(kind, type) and issubclass(kind, RuntimeFailure):
        raise kind(message)
    if status in (401, 403):
        raise ConfigError(f"refused: {message}", hint="Give the full key: QDRANT_API_KEY of the instance")
    if status == 404:
        raise ConfigError(f"{message}: no such route", hint="Check the address; an older image has fewer routes")
    if status in (429, 502, 503, 504):
        raise InstanceUnavailable(message, hint="Nothing to mend yet: try again in a second")
    raise RuntimeFailure(f"{message} (status {status})")


def _sendable(secret: str, what: str) -> str:
    """Return a secret that can be a header; the error never shows it. Raises ConfigError."""
    if not secret or any(not "!" <= character <= "~" for character in secret):
        raise ConfigError(
            f"{what} holds characters that no header may hold", hint="Is there a line end or a space around it?"
        )
    return secret


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the request as it is: without an `auth` a password out of .netrc would be sent along."""
    return request
