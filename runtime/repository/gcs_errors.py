"""What the bucket's refusals and silences mean to the caller.

Owns the translation of Google's and the network's errors into ours, with the hint that names the fix. A
missing bucket is never a missing object: the first ends the start, the second means "no backup".
"""

import contextlib
import http.client
from collections.abc import Callable, Iterator

import requests
import urllib3
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from runtime.errors import (
    IntegrityError,
    ObjectMissing,
    PreconditionFailed,
    RuntimeFailure,
    StoreDenied,
    StoreError,
    StoreUnreachable,
)

# Worth another try: the service asks for one, or the connection ended.
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
LOST = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    auth.TransportError,
    ConnectionError,
    TimeoutError,
)


class Explainer:
    """Turns what one bucket answered into the error to raise."""

    def __init__(self, bucket: str, *, account: Callable[[], str], bucket_exists: Callable[[], bool]) -> None:
        self._bucket = bucket
        self._account = account
        self._bucket_exists = bucket_exists

    @contextlib.contextmanager
    def explained(self, permission: str, name: str = "") -> Iterator[None]:
        """Raise our own error for whatever the library raises inside."""
        try:
            yield
        except api.RetryError as error:
            raise self.unreachable(error.cause or error) from error
        except InvalidResponse as error:
            raise self.status(error.response.status_code, error.response.text, permission, name) from error
        except api.GoogleAPICallError as error:
            raise self.status(int(error.code or 0), str(error.message), permission, name) from error
        except DataCorruption as error:
            raise IntegrityError(f"gs://{self._bucket}/{name}: {error}", hint="Look at the network") from error
        except auth.DefaultCredentialsError as error:
            raise StoreDenied(
                f"No credentials for gs://{self._bucket}",
                hint="Run as a service account, or 'gcloud auth application-default login' on your machine",
            ) from error
        except LOST as error:
            raise self.unreachable(error) from error
        except auth.GoogleAuthError as error:
            raise StoreDenied(
                f"The credentials for gs://{self._bucket} are refused: {error}",
                hint="Log in again, or give the service a valid account",
            ) from error

    def status(self, status: int, text: str, permission: str, name: str) -> RuntimeFailure:
        """Return the error of an answer that is none of those expected."""
        where = f"gs://{self._bucket}/{name}" if name else f"gs://{self._bucket}"
        if status == 404:
            return self._missing(where, text)
        if status in {401, 403}:
            return StoreDenied(
                f"{self._account()} may not do this in {where} (HTTP {status})",
                hint=f"Grant it a role with {permission} on that bucket; said was: {_short(text)}",
            )
        if status in {304, 412}:
            return PreconditionFailed(f"The generation of {where} is not the expected one")
        if status == 400 and any(word in text.lower() for word in ("crc32c", "md5", "hash", "checksum")):
            return IntegrityError(
                f"The bucket refused {where}: other bytes arrived than were sent",
                hint="Nothing was stored; look at the network and at this machine's memory",
            )
        said = f"HTTP {status}: {_short(text)}"
        return self.unreachable(said) if status in RETRIED_STATUS else StoreDenied(f"{where} was refused, {said}")

    def _missing(self, where: str, text: str) -> StoreError:
        # The service's own words; an emulator has others, so what has neither is asked about.
        if "No such object" in text or ("bucket does not exist" not in text and self._bucket_exists()):
            return ObjectMissing(f"No object {where}")
        return StoreDenied(
            f"There is no bucket {self._bucket!r}",
            hint="Correct BACKUP_URL, or create the bucket (pulumi up)",
        )

    def unreachable(self, reason: object) -> StoreUnreachable:
        """Return the error of a store that did not answer in time."""
        return StoreUnreachable(
            f"gs://{self._bucket} did not answer in time: {_short(str(reason))}",
            hint="Check the network, the emulator's address if there is one, and status.cloud.google.com",
        )


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 300 else f"{one_line[:300]}…"
