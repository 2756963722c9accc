"""The names of everything a stack makes, deterministic and within each service's limits.

Fixed names keep the service's URL, the alerts and the runbooks the same from one deployment to the next.
Owns the suffixes and the limits; does not read configuration.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

# Service accounts have the shortest names (30), and "-scheduler" is the longest suffix of one.
ACCOUNT_LIMIT: Final = 30
LONGEST_SUFFIX: Final = "-scheduler"
BASE_LIMIT: Final = ACCOUNT_LIMIT - len(LONGEST_SUFFIX)
BASE_PATTERN: Final = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
BUCKET_LIMIT: Final = 63


@dataclass(frozen=True)
class Names:
    """Physical names, from the stack's base name and its project."""

    base: str
    project: str

    @property
    def service(self) -> str:
        """Cloud Run service, at most 49 characters."""
        return self.base

    @property
    def bucket(self) -> str:
        """Bucket, unique in the world because the project's id is; at most 63 characters."""
        return f"{self.project}-{self.base}-backups"

    @property
    def repository(self) -> str:
        """Artifact Registry repository."""
        return f"{self.base}-images"

    @property
    def remover_role(self) -> str:
        """Custom role that can delete an object: letters, digits, underscores and dots only."""
        return f"{self.base.replace('-', '_')}_object_remover"

    @property
    def readers(self) -> str:
        """Cloud Run service of the readers."""
        return f"{self.base}-readers"

    def job(self, purpose: str) -> str:
        """Cloud Run job, and the Cloud Scheduler job that starts it or asks for a backup."""
        return f"{self.base}-{purpose}"

    def account(self, role: str) -> str:
        """Service account of a role, 6 to 30 characters."""
        return f"{self.base}-{role}"

    def secret(self, purpose: str) -> str:
        """Secret Manager secret."""
        return f"{self.base}-{purpose}"


def base_from_stack(stack: str) -> str:
    """Return the base name for a stack whose configuration gives none; it may still be refused."""
    slug = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    return f"qdrant-{slug}"


def shortened(base: str) -> str:
    """Return an acceptable name like this one, the same each time, for use in advice."""
    slug = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-") or "qdrant"
    slug = slug if slug[0].isalpha() else f"q-{slug}"
    if len(slug) <= BASE_LIMIT:
        return slug
    mark = hashlib.sha256(base.encode()).hexdigest()[:4]
    return f"{slug[: BASE_LIMIT - 5].rstrip('-')}-{mark}"
