"""Addresses of objects that somebody without an account may read for a while.

Owns which stores can give one. Google's are signed by the account itself through IAM (`signBlob`): in the cloud no
key file exists, and the account needs the role Service Account Token Creator on itself. An emulator asks nobody who
he is: its address is plain. A directory has none.
"""

import asyncio
import datetime as dt
from typing import Protocol
from urllib.parse import quote

from runtime.errors import StoreDenied, StoreError
from runtime.repository.gcs import GcsStore
from runtime.repository.store import Store


class Signer(Protocol):
    """Gives addresses of objects."""

    async def url(self, name: str, *, seconds: int) -> str:
        """Return an address that anybody may read the object from, for so long. It is a secret. Raises StoreError."""


def signer_for(store: Store) -> Signer | None:
    """Return a store's signer, or None when nobody outside can read from it."""
    return _GcsSigner(store) if isinstance(store, GcsStore) else None


class _GcsSigner:
    def __init__(self, store: GcsStore) -> None:
        self._store = store

    async def url(self, name: str, *, seconds: int) -> str:
        """Return an address (see Signer)."""
        bucket, full, emulator = self._store.place(name)
        if emulator is not None:
            return f"{emulator.rstrip('/')}/download/storage/v1/b/{bucket}/o/{quote(full, safe='')}?alt=media"
        return await asyncio.to_thread(_signed, bucket, full, seconds)


def _signed(bucket: str, name: str, seconds: int) -> str:
    import google.auth  # noqa: PLC0415 - slow, and only needed here
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport.requests import Request  # noqa: PLC0415
    from google.cloud import storage  # noqa: PLC0415

    try:
        credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
        account = getattr(credentials, "service_account_email", None)
        if account is None:
            raise StoreDenied(
                "these credentials are no service account's, so nothing can be signed",
                hint="Run it as a service account; points are copied instead",
            )
        blob = storage.Client(project=project or "none", credentials=credentials).bucket(bucket).blob(name)
        signed: str = blob.generate_signed_url(
            version="v4",
            expiration=dt.timedelta(seconds=seconds),
            method="GET",
            service_account_email=account,
            access_token=credentials.token,
        )
    except GoogleAuthError as error:
        raise StoreError(
            f"gs://{bucket}/{name} could not be signed: {error}",
            hint="Grant the account roles/iam.serviceAccountTokenCreator on itself",
        ) from error
    return signed
