import base64
import json
from pathlib import Path

import pytest
import structlog

from tests.api.agent import AUDIENCE, CALLER, OTHER, SIGNER, Agent, agent, google
from tests.edge.stage import in_loop

KEYS = {"QDRANT_API_KEY": "the-full-key", "QDRANT_READ_ONLY_API_KEY": "the-looking-key"}
CALLERS = {"ALLOWED_CALLERS": CALLER, "CALLER_AUDIENCES": AUDIENCE}
PRIVATE = {"ALLOWED_CALLERS": CALLER, "SERVICE_ACCESS": "private"}

# On an empty bucket: what the guarded routes answer once the caller is let through.
LOOK = ("GET", "/api/backups", 200)
ACT = ("POST", "/api/verify", 404)


def basic(password: str) -> str:
    """Return what a browser sends for a password."""
    return "Basic " + base64.b64encode(f":{password}".encode()).decode()


async def may(asked: Agent, **headers: str) -> tuple[bool, bool]:
    """Tell whether a caller may look, and whether it may act."""
    results = []
    for method, path, allowed in (LOOK, ACT):
        status = await asked.status(method, path, **headers)
        assert status in (allowed, 401, 403), status
        results.append(status == allowed)
    return results[0], results[1]


@pytest.mark.parametrize(
    ("headers", "rights"),
    [
        ({}, (False, False)),
        ({"api_key": "the-full-key"}, (True, True)),
        ({"authorization": "Bearer the-full-key"}, (True, True)),
        ({"authorization": "bearer the-full-key"}, (True, True)),
        ({"authorization": basic("the-full-key"), "sec_fetch_site": "same-origin"}, (True, True)),
        ({"authorization": basic("the-full-key")}, (True, False)),
        ({"api_key": "the-looking-key"}, (True, False)),
        ({"authorization": basic("the-looking-key"), "sec_fetch_site": "none"}, (True, False)),
        ({"api_key": "the-full-keyx"}, (False, False)),
        ({"api_key": "the-full-ke"}, (False, False)),
        ({"api_key": ""}, (False, False)),
        ({"api_key": "wrong", "authorization": "Bearer the-full-key"}, (False, False)),
        ({"authorization": "the-full-key"}, (False, False)),
        ({"authorization": "Basic %%%"}, (False, False)),
        ({"authorization": "Basic"}, (False, False)),
        ({"api_key": "schlüssel"}, (False, False)),
    ],
)
@in_loop
async def test_a_key_gives_its_rights_and_nothing_else_does(
    tmp_path: Path, headers: dict[str, str], rights: tuple[bool, bool]
) -> None:
    """The full key looks and acts, the read-only one looks, in any of the three forms; all else is refused."""
    async with agent(tmp_path, **KEYS) as asked:
        assert await may(asked, **headers) == rights


@in_loop
async def test_probes_are_open_and_everything_else_is_not(tmp_path: Path) -> None:
    """Without a key /health, /startup and /live answer, and every other route of the agent says 401."""
    async with agent(tmp_path, **KEYS) as asked:
        for path, status in (("/health", 503), ("/startup", 503), ("/live", 200)):
            assert await asked.status("GET", path) == status
        for method, path in (
            ("GET", "/status"), ("GET", "/api/metrics"), ("GET", "/api/backups"), ("GET", "/api/backups/x"),
            ("POST", "/api/snapshot"), ("POST", "/api/verify"), ("POST", "/api/backups/x/rollback"),
        ):  # fmt: skip
            assert await asked.status(method, path) == 401, path


@in_loop
async def test_without_a_key_everything_is_open_but_not_to_other_sites(tmp_path: Path) -> None:
    """On a machine without keys anybody may act, except a page of another site in somebody's browser."""
    async with agent(tmp_path) as asked:
        assert await may(asked) == (True, True)
        assert await may(asked, sec_fetch_site="cross-site") == (True, False)
        assert await may(asked, sec_fetch_site="same-site") == (True, False)
        assert await may(asked, origin="https://evil.example") == (True, False)
        assert await may(asked, origin="null") == (True, False)
        assert await may(asked, origin=f"http://{asked.host}") == (True, True)


@in_loop
async def test_another_site_cannot_use_a_browsers_password(tmp_path: Path) -> None:
    """A browser that sends the right password for a form of another site is refused."""
    async with agent(tmp_path, **KEYS) as asked:
        password = basic("the-full-key")
        for site in ({"sec_fetch_site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
            assert (await may(asked, authorization=password, **site))[1] is False
        assert await may(asked, authorization=password, origin=f"http://{asked.host}") == (True, True)


@in_loop
async def test_only_the_full_key_decides_what_is_served(tmp_path: Path) -> None:
    """Going back is neither for the read-only key, nor for a token that may save, nor for another site's form."""
    route = "/api/backups/00000001-0000000001/rollback"
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS, **CALLERS) as asked:
        token = f"Bearer {SIGNER.token()}"
        assert await may(asked, authorization=token) == (True, True)
        assert await asked.status("POST", route, authorization=token) == 401
        assert await asked.status("POST", route, api_key="the-looking-key") == 403
        assert await asked.status("POST", route, authorization=basic("the-full-key")) == 403
        assert await asked.status("POST", route, api_key="the-full-key", sec_fetch_site="cross-site") == 403
        # Let through: this instance has not started, and says so.
        assert await asked.status("POST", route, api_key="the-full-key") == 503
        assert await asked.status("POST", route, api_key="the-full-key", authorization=token) == 503
        assert await asked.status("GET", route, api_key="the-full-key") == 405


@in_loop
async def test_a_callers_token_is_accepted(tmp_path: Path) -> None:
    """A token that Google signed for an allowed account and this service looks and acts."""
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS, **CALLERS) as asked:
        assert await may(asked, authorization=f"Bearer {SIGNER.token()}") == (True, True)
        assert await may(asked, authorization=f"Bearer {SIGNER.token(iss='accounts.google.com')}") == (True, True)
        assert certificates.asked == 1


BAD = {
    "expired": SIGNER.token(exp=1_700_000_000),
    "from the future": SIGNER.token(iat=4_000_000_000),
    "for another service": SIGNER.token(aud="https://other.example"),
    "for two": SIGNER.token(aud=[AUDIENCE, "https://other.example"]),
    "by another issuer": SIGNER.token(iss="https://evil.example"),
    "of another account": SIGNER.token(email="x" + CALLER),
    "of an unverified account": SIGNER.token(email_verified=False),
    "without account": SIGNER.token(email=None),
    "without expiry": SIGNER.token(exp=None),
    "without audience": SIGNER.token(aud=None),
    "signed by another": OTHER.token(),
    "cut": SIGNER.token()[:-4],
    "changed": SIGNER.token()[:-9] + "AAAAAAAAA",
    "without signature": SIGNER.token().rpartition(".")[0] + ".",
    "blunted": SIGNER.token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
    "unsigned": "eyJhbGciOiJub25lIn0." + SIGNER.token().split(".")[1] + ".AA",
    "no token": "a.b.c",
    "long": SIGNER.token(more="x" * 4000),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BAD, ids=str)
@in_loop
async def test_a_token_that_is_not_good_is_refused(tmp_path: Path, wrong: str) -> None:
    """Wrong in any one thing, a token gives no right at all, and is not repeated in the log or the answer."""
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS, **CALLERS) as asked:
        with structlog.testing.capture_logs() as lines:
            assert await may(asked, authorization=f"Bearer {BAD[wrong]}") == (False, False)
        async with asked.client.get("/api/backups", headers={"authorization": f"Bearer {BAD[wrong]}"}) as answer:
            told = json.dumps(lines, default=str) + await answer.text()
    assert BAD[wrong] not in told
    assert "the-full-key" not in told


@in_loop
async def test_a_blunted_token_counts_only_where_cloud_run_checks(tmp_path: Path) -> None:
    """A token without signature is believed in a private service, and not when Cloud Run looked at another one."""
    blunted = "Bearer " + SIGNER.token(aud="x").rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    expired = "Bearer " + SIGNER.token(exp=1_700_000_000).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    stranger = "Bearer " + SIGNER.token(email="a@b.c").rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    async with agent(tmp_path, **KEYS, **PRIVATE) as asked:
        assert await may(asked, authorization=blunted) == (True, True)
        assert await may(asked, authorization=expired) == (False, False)
        assert await may(asked, authorization=stranger) == (False, False)
        assert await may(asked, authorization=blunted, x_serverless_authorization="Bearer y") == (False, False)


@in_loop
async def test_without_allowed_callers_no_token_counts(tmp_path: Path) -> None:
    """A good token of Google's gives nothing where nobody was allowed."""
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS) as asked:
        assert await may(asked, authorization=f"Bearer {SIGNER.token()}") == (False, False)
        assert certificates.asked == 0


@in_loop
async def test_googles_outage_is_told_apart_from_a_wrong_token(tmp_path: Path) -> None:
    """With the certificates out of reach the answer is 503, and the key works as ever."""
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS, **CALLERS) as asked:
        certificates.down = True
        assert await asked.status("GET", "/api/backups", authorization=f"Bearer {SIGNER.token()}") == 503
        assert await may(asked, api_key="the-full-key") == (True, True)


@in_loop
async def test_unknown_keys_do_not_make_it_ask_google_each_time(tmp_path: Path) -> None:
    """A stream of tokens with unknown key ids costs one look at the certificates a minute."""
    async with google() as certificates, agent(tmp_path, certificates.url, **KEYS, **CALLERS) as asked:
        for _ in range(5):
            assert await asked.status("GET", "/api/backups", authorization=f"Bearer {OTHER.token()}") == 403
        assert certificates.asked == 1


@in_loop
async def test_a_browser_is_asked_for_the_key(tmp_path: Path) -> None:
    """A person gets the browser's own prompt, a program is told the scheme."""
    async with agent(tmp_path, **KEYS) as asked:
        async with asked.client.get("/status", headers={"accept": "text/html"}) as answer:
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        async with asked.client.get("/status") as answer:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
