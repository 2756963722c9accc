"""Questions that only an examination of a bucket asks.

Owns these calls; what their answers mean is the caller's.
"""

from google.api_core.retry import Retry
from google.cloud import storage

from runtime.repository.bucket_facts import BucketFacts
from runtime.repository.checksums import crc32c_of
from runtime.repository.gcs_errors import Explainer

_SECONDS_A_DAY = 86_400


class GcsProbe:
    """Asks one bucket."""

    def __init__(
        self, bucket: storage.Bucket, explain: Explainer, *, timeout: tuple[float, float], retry: Retry
    ) -> None:
        self._bucket = bucket
        self._explain = explain
        self._timeout = timeout
        self._retry = retry

    def facts(self) -> BucketFacts:
        """Return what the bucket says of itself."""
        with self._explain.explained("storage.buckets.get"):
            self._bucket.reload(timeout=self._timeout, retry=self._retry)
        soft_delete = self._bucket.soft_delete_policy.retention_duration_seconds
        return BucketFacts(
            location=str(self._bucket.location or "unknown"),
            location_type=str(self._bucket.location_type or "unknown"),
            storage_class=str(self._bucket.storage_class or "unknown"),
            versioning=bool(self._bucket.versioning_enabled),
            soft_delete_days=int(soft_delete or 0) / _SECONDS_A_DAY,
        )

    def create_with_wrong_checksum(self, name: str) -> None:
        """Create an object with the checksum of other bytes than its own."""
        blob = self._bucket.blob(name)
        blob.crc32c = crc32c_of(b"other bytes")
        with self._explain.explained("storage.objects.create", name):
            blob.upload_from_string(
                b"bytes", checksum=None, if_generation_match=0, timeout=self._timeout, retry=self._retry
            )
