"""Who may use the control routes.

Owns the check of a request's credentials: Qdrant's own keys (as `api-key`, as a bearer token, or as the password a
browser asks for) and Google ID tokens of ALLOWED_CALLERS. The full key may do everything, the read-only one may look;
a token may look and act, and not decide what is served: who may start a backup need not be who may undo writes.
Without a key everything is open, which production refuses to start with.

A browser sends a password it was given to this address along with whatever another site makes it send. So what acts
is refused when the browser says that another site is behind it, and with a password unless it says that none is.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from runtime.api.google_tokens import GoogleTokens, TokenRefused, looks_like_token
from runtime.settings import Settings

_OWN_SITE: Final = ("same-origin", "none")


class Right(Enum):
    """What a route lets its caller do."""

    LOOK = auto()
    ACT = auto()
    GO_BACK = auto()


class Denied(Exception):
    """The caller may not; 401 when other credentials could help, 403 when these are understood and not enough."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Sent:
    key: str
    token: str | None
    is_password: bool


class Access:
    """Decides about requests by the settings' keys and callers."""

    def __init__(self, settings: Settings, tokens: GoogleTokens) -> None:
        self._settings = settings
        self._tokens = tokens

    async def require(self, request: web.Request, right: Right) -> None:
        """Return when the caller has this right. Raises Denied, CertificatesUnavailable."""
        sent = _sent(request)
        if right is not Right.LOOK:
            _refuse_other_sites(request, certainly=sent.is_password)
        settings = self._settings
        if settings.api_key is None or _same(sent.key, settings.api_key):
            return
        if settings.read_only_api_key is not None and _same(sent.key, settings.read_only_api_key):
            if right is Right.LOOK:
                return
            raise Denied(403, "the read-only key can look, and nothing else")
        if (
            right is not Right.GO_BACK
            and settings.allowed_callers
            and sent.token is not None
            and looks_like_token(sent.token)
        ):
            try:
                await self._tokens.caller(
                    sent.token, checked_by_platform="x-serverless-authorization" not in request.headers
                )
            except TokenRefused as error:
                raise Denied(403, str(error)) from error
            return
        raise Denied(401, "the control routes need the api key, as header `api-key` or `Authorization: Bearer`")


def _sent(request: web.Request) -> _Sent:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    bearer = rest.strip() if scheme.lower() == "bearer" else None
    password = _password(rest) if scheme.lower() == "basic" else None
    key = request.headers.get("api-key")
    return _Sent(key or bearer or password or "", bearer, is_password=key is None and password is not None)


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _same(sent: str, key: str) -> bool:
    return hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), key.encode())


def _refuse_other_sites(request: web.Request, *, certainly: bool) -> None:
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        is_own = not certainly
    elif site is not None:
        is_own = site in _OWN_SITE
    else:
        is_own = urlsplit(origin or "").netloc == request.headers.get("host")
    if not is_own:
        raise Denied(403, "a browser sent this for another site; open /status and use its button")
