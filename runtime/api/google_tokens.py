"""Google ID tokens of the callers that ALLOWED_CALLERS names.

Owns the check: signature against Google's certificates, expiry, issuer, audience, and whose it is. Owns no HTTP
status: `runtime.api.access` turns a refusal into one.

Cloud Run removes the signature of a token that it has checked itself. Such a token says who calls only where Cloud
Run checks every request (SERVICE_ACCESS=private), and only when it was the token that Cloud Run looked at: beside an
`X-Serverless-Authorization` it looks at that one and hands `Authorization` on as the client wrote it.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from runtime.errors import RuntimeFailure
from runtime.settings import Settings

GOOGLE_CERTIFICATES: Final = "https://www.googleapis.com/oauth2/v1/certs"
REMOVED_SIGNATURE: Final = ".SIGNATURE_REMOVED_BY_GOOGLE"

_ISSUERS: Final = ("accounts.google.com", "https://accounts.google.com")
_CLOCKS_DIFFER_SECONDS: Final = 10
_FETCH_SECONDS: Final = 5.0
_MOST_BYTES: Final = 64 * 1024
# Google rotates its keys over days. A token with an unknown key may ask for a fresh look, but not in a stream.
_FRESH_SECONDS: Final = 3600.0
_LOOK_AGAIN_SECONDS: Final = 60.0
# Long enough for any token of Google's; what is longer is not worth parsing.
_LONGEST_TOKEN: Final = 4096
_FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class TokenRefused(Exception):
    """The token does not show that an allowed account calls; the message says why."""


class CertificatesUnavailable(RuntimeFailure):
    """Google's certificates could not be fetched, so no token can be checked right now."""


def looks_like_token(text: str) -> bool:
    """Tell whether this has the form of a signed token, rather than of a key."""
    return len(text) <= _LONGEST_TOKEN and _FORM.fullmatch(text) is not None


class GoogleTokens:
    """Checks tokens. `certificates_url` is Google's, unless a test serves its own."""

    def __init__(
        self,
        settings: Settings,
        *,
        certificates_url: str = GOOGLE_CERTIFICATES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = frozenset(settings.allowed_callers)
        self._audiences = list(settings.caller_audiences)
        self._is_private = settings.service_access == "private"
        self._url = certificates_url
        self._clock = clock
        self._certificates: Mapping[str, str] = {}
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def caller(self, token: str, *, checked_by_platform: bool) -> str:
        """Return the account a token shows. Raises TokenRefused, CertificatesUnavailable.

        `checked_by_platform`: nothing speaks against this being the token that Cloud Run has looked at.
        """
        if token.endswith(REMOVED_SIGNATURE):
            if not (self._is_private and checked_by_platform):
                raise TokenRefused("the token has no signature, and nothing says that Cloud Run has checked it")
            claims = self._decoded(token, None)
        else:
            claims = self._decoded(token, await self._certificates_for(token))
        account = claims.get("email")
        if claims.get("iss") not in _ISSUERS:
            raise TokenRefused("the token was not issued by Google")
        if claims.get("email_verified") is not True or account not in self._allowed:
            raise TokenRefused("the token's account is not in ALLOWED_CALLERS")
        return str(account)

    def _decoded(self, token: str, certificates: Mapping[str, str] | None) -> Mapping[str, Any]:
        """Return the claims; without certificates the signature is taken as checked, but never the expiry."""
        from google.auth import exceptions, jwt  # noqa: PLC0415 - an instance listens before it needs this

        try:
            claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
                token,
                certs=certificates,
                verify=certificates is not None,
                audience=self._audiences,
                clock_skew_in_seconds=_CLOCKS_DIFFER_SECONDS,
            )
            if certificates is None and not float(claims["exp"]) + _CLOCKS_DIFFER_SECONDS > time.time():
                raise TokenRefused("the token has expired")
        except (exceptions.GoogleAuthError, ValueError, TypeError, KeyError) as error:
            raise TokenRefused(f"the token is not valid: {error}") from error
        return claims

    async def _certificates_for(self, token: str) -> Mapping[str, str]:
        async with self._lock:
            age = self._clock() - self._fetched_at
            if age > _FRESH_SECONDS or (age > _LOOK_AGAIN_SECONDS and _key_of(token) not in self._certificates):
                try:
                    self._certificates = await self._fetch()
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    raise CertificatesUnavailable(
                        f"Google's certificates cannot be fetched: {error!r}", hint="Try again, or use the api key"
                    ) from error
                self._fetched_at = self._clock()
            return self._certificates

    async def _fetch(self) -> Mapping[str, str]:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        # Its own: aiohttp was imported without the system's certificates (`runtime.imports`).
        trusted = await asyncio.to_thread(ssl.create_default_context)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(self._url, raise_for_status=True, ssl=trusted) as answer,
        ):
            text = await answer.content.read(_MOST_BYTES)
        found = json.loads(text)
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ValueError("not certificates by key id")
        return found


def _key_of(token: str) -> str | None:
    from google.auth import exceptions, jwt  # noqa: PLC0415

    try:
        key = jwt.decode_header(token).get("kid")  # type: ignore[no-untyped-call]
    except (exceptions.GoogleAuthError, ValueError) as error:
        raise TokenRefused(f"the token is not valid: {error}") from error
    return key if isinstance(key, str) else None
