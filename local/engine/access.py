"""Who may do what, by API key: one rule for REST and gRPC."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Access(Enum):
    """What a request may do."""

    NONE = "none"
    READ = "read"
    FULL = "full"


@dataclass(frozen=True)
class Keys:
    """The configured keys; with none of them everyone may do everything."""

    full: str
    read_only: str

    def access(self, headers: Mapping[str, str]) -> tuple[Access, str]:
        """Answer what the bearer of `headers` (lower-case names) may do, and why not more."""
        if not self.full and not self.read_only:
            return Access.FULL, ""
        key = headers.get("api-key")
        if key is None and headers.get("authorization", "").startswith("Bearer "):
            key = headers["authorization"].removeprefix("Bearer ")
        if key is None:
            return Access.NONE, "Must provide an API key or an Authorization bearer token"
        if self.full and hmac.compare_digest(key.encode(), self.full.encode()):
            return Access.FULL, ""
        if self.read_only and hmac.compare_digest(key.encode(), self.read_only.encode()):
            return Access.READ, "Global manage access is required"
        return Access.NONE, "Invalid API key or JWT"
