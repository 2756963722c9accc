"""Who may use the control routes.

Owns the check of keys. The same keys as Qdrant's: the full one may do everything, the read-only one may look.
"""

import hmac

from aiohttp import web

from runtime.settings import Settings


def may_read(request: web.Request, settings: Settings) -> bool:
    """Whether the caller may see backups and status."""
    return settings.api_key is None or may_act(request, settings) or _has(request, settings.read_only_api_key)


def may_act(request: web.Request, settings: Settings) -> bool:
    """Whether the caller may start a backup or a verification."""
    return settings.api_key is None or _has(request, settings.api_key)


def _has(request: web.Request, key: str | None) -> bool:
    sent = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return key is not None and hmac.compare_digest(sent.encode(), key.encode())
