"""One bucket, through google-cloud-storage: the blocking calls.

Owns the client, its credentials and the calls without a stream, which the library does well: one request
each, its own retries within a deadline. Streams are `gcs_upload` and `gcs_download`. Names are complete here.
"""

import os
from urllib.parse import quote

import google.auth
import requests.adapters
from google.api_core.exceptions import NotFound
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from runtime.errors import (
    AlreadyExists,
    IntegrityError,
    ObjectMissing,
    PreconditionFailed,
    StoreDenied,
    StoreError,
)
from runtime.repository.checksums import crc32c_of
from runtime.repository.gcs_download import download_range, download_whole
from runtime.repository.gcs_errors import Explainer
from runtime.repository.gcs_probe import GcsProbe
from runtime.repository.gcs_transfer import Transfer
from runtime.repository.gcs_upload import ResumableUpload
from runtime.repository.read_ahead import ReadAhead
from runtime.repository.store import ByteSink, ByteSource, ObjectInfo
from runtime.repository.threads import Abort, DaemonThreads

SERVICE = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
LIST_PAGE = 1000
LIST_FIELDS = "items(name,size,generation,crc32c),nextPageToken"
# Since 3.17 the client looks up the bucket in the background of its calls, for traces that nobody takes; the
# container's account may not, and the look-up would be a refusal in the audit log.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
BINARY = "application/octet-stream"
# A name that is taken: an account that may not overwrite is told 403 where others are told 412.
REFUSED = (PreconditionFailed, StoreDenied)


class GcsBucket:
    """A connection to one bucket, usable from several threads."""

    def __init__(
        self, name: str, *, project: str | None, emulator_host: str | None, seconds: float, connections: int
    ) -> None:
        # Half for the attempts, half for what the last of them may take: so no call outlives its deadline.
        self._timeout = (seconds / 2, seconds / 2)
        self._retry: Retry = DEFAULT_RETRY.with_timeout(seconds / 2).with_delay(0.1, 2.0, 2.0)
        self._seconds = seconds
        self._name = name
        self._explain = Explainer(name, account=self._account, bucket_exists=self._exists)
        self._endpoint = _endpoint(emulator_host)
        with self._explain.explained("storage.objects.get"):
            self._credentials, found = (
                (AnonymousCredentials(), None)  # type: ignore[no-untyped-call]
                if emulator_host
                else google.auth.default(scopes=[SCOPE])
            )
        self._session = AuthorizedSession(self._credentials)  # type: ignore[no-untyped-call]
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._readers = DaemonThreads("gcs-read-ahead", connections)
        self._client = storage.Client(
            # Only calls that name no bucket need a project; there are none here.
            project=project or found or "none",
            credentials=self._credentials,
            client_options={"api_endpoint": self._endpoint} if emulator_host else None,
        )
        self._bucket = self._client.bucket(name)
        self.probe = GcsProbe(self._bucket, self._explain, timeout=self._timeout, retry=self._retry)

    def read(self, name: str, abort: Abort) -> tuple[bytes, int]:
        """Return a small object's bytes and their generation, both from one answer."""
        return download_whole(self._transfer(name, abort), self._media_url(name))

    def stat(self, name: str) -> ObjectInfo:
        """Return what the bucket knows of an object."""
        blob = self._bucket.blob(name)
        with self._explain.explained("storage.objects.get", name):
            blob.reload(timeout=self._timeout, retry=self._retry)
        return _info(blob)

    def create(self, name: str, data: bytes) -> ObjectInfo:
        """Store a small object under a name that is free, or find the same bytes there."""
        try:
            return self.write(name, data, 0)
        except REFUSED as refusal:
            return self._same(self._looked_at(name, refusal), len(data), crc32c_of(data))

    def write(self, name: str, data: bytes, generation: int) -> ObjectInfo:
        """Store a small object if the generation there is that one (0: none), its checksum sent along."""
        blob = self._bucket.blob(name)
        try:
            with self._explain.explained("storage.objects.create", name):
                blob.upload_from_string(
                    data,
                    content_type=BINARY,
                    checksum="crc32c",
                    if_generation_match=generation,
                    timeout=self._timeout,
                    retry=self._retry,
                )
        except ObjectMissing:
            raise PreconditionFailed(f"gs://{self._name}/{name} is gone") from None
        return _info(blob)

    def upload(self, name: str, source: ByteSource, abort: Abort) -> ObjectInfo:
        """Create an object from a stream under a name that is free, or find the same bytes there."""
        with ReadAhead(source, abort, self._readers) as ahead:
            try:
                url = self._upload_session(name)
                return ResumableUpload(self._transfer(name, abort), url).send(ahead)
            except REFUSED as refusal:
                there = self._looked_at(name, refusal)
                # Refused before the first byte: what would have been sent is known only once it is read.
                ahead.drain()
                return self._same(there, ahead.passed.size, ahead.passed.encoded())

    def download(self, name: str, offset: int, length: int, sink: ByteSink, abort: Abort) -> None:
        """Deliver exactly that range."""
        if length == 0 or offset < 0:
            size = self.stat(name).size
            if not 0 <= offset <= size:
                raise IntegrityError(f"gs://{self._name}/{name} has {size} bytes, not {offset}")
            return
        download_range(self._transfer(name, abort), self._media_url(name), offset, length, sink)

    def page(self, prefix: str, token: str | None, start: str | None) -> tuple[list[ObjectInfo], str | None]:
        """Return one page of the listing from the name `start` on, and where the next one starts."""
        with self._explain.explained("storage.objects.list"):
            listing = self._client.list_blobs(
                self._bucket,
                prefix=prefix,
                start_offset=start,
                page_token=token,
                page_size=LIST_PAGE,
                fields=LIST_FIELDS,
                timeout=self._timeout,
                retry=self._retry,
            )
            found = [_info(blob) for blob in next(listing.pages, [])]
        return found, listing.next_page_token

    def delete(self, name: str, generation: int) -> None:
        """Delete that generation; none there is no error."""
        try:
            with self._explain.explained("storage.objects.delete", name):
                self._bucket.blob(name).delete(if_generation_match=generation, timeout=self._timeout, retry=self._retry)
        except ObjectMissing:
            return

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()
        self._session.close()  # type: ignore[no-untyped-call]
        self._client.close()

    def _media_url(self, name: str) -> str:
        return f"{self._endpoint}/download/storage/v1/b/{quote(self._name)}/o/{quote(name, safe='')}?alt=media"

    def _transfer(self, name: str, abort: Abort) -> Transfer:
        return Transfer(self._session, self._explain, name, self._seconds, abort)

    def _upload_session(self, name: str) -> str:
        with self._explain.explained("storage.objects.create", name):
            return str(
                self._bucket.blob(name).create_resumable_upload_session(
                    content_type=BINARY,
                    checksum=None,
                    if_generation_match=0,
                    timeout=self._timeout,
                    retry=self._retry,
                )
            )

    def _looked_at(self, name: str, refusal: StoreError) -> ObjectInfo:
        try:
            return self.stat(name)
        except StoreError:
            raise refusal from None

    def _same(self, there: ObjectInfo, size: int, crc32c: str) -> ObjectInfo:
        if (there.size, there.crc32c) == (size, crc32c):
            return there
        raise AlreadyExists(f"gs://{self._name}/{there.name} is there already, with other content")

    def _exists(self) -> bool:
        # Asked with the one right on the bucket that the container's account surely has: listing.
        with self._explain.explained("storage.objects.list"):
            listing = self._client.list_blobs(self._bucket, max_results=1, timeout=self._timeout, retry=self._retry)
            try:
                next(listing.pages, None)
            except NotFound:
                return False
        return True

    def _account(self) -> str:
        return str(getattr(self._credentials, "service_account_email", None) or "The account")


def _endpoint(emulator_host: str | None) -> str:
    if not emulator_host:
        return SERVICE
    host = emulator_host.rstrip("/")
    return host if "://" in host else f"http://{host}"


def _info(blob: storage.Blob) -> ObjectInfo:
    return ObjectInfo(blob.name, int(blob.size), int(blob.generation), str(blob.crc32c))
