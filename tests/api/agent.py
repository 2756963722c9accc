"""The agent on a real port, over an instance that has not started, and a Google of our own that signs tokens."""

import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from runtime.api.app import agent_app
from runtime.api.google_tokens import GoogleTokens
from runtime.assembly import build
from runtime.edge.edge import Edge
from runtime.edge.gate import Gate
from runtime.instance import Instance
from runtime.repository.open import open_store
from runtime.repository.repository import Repository
from runtime.settings import Settings

AUDIENCE = "https://service.example"
CALLER = "scheduler@project.iam.gserviceaccount.com"


class Signer:
    """A key with its certificate."""

    def __init__(self, name: str) -> None:
        self.name = name
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self._signer = crypt.RSASigner.from_string(private, name)  # type: ignore[no-untyped-call]

    def token(self, **claims: Any) -> str:
        """Return a token that is good unless `claims` say otherwise; None removes a claim."""
        now = int(time.time())
        whole = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "iat": now - 5,
            "exp": now + 600,
            "email": CALLER,
            "email_verified": True,
            **claims,
        }
        kept = {name: value for name, value in whole.items() if value is not None}
        return bytes(jwt.encode(self._signer, kept)).decode()  # type: ignore[no-untyped-call]


SIGNER = Signer("one")
OTHER = Signer("two")


@dataclass
class Google:
    """Serves certificates, counts how often, and can be down."""

    certificates: dict[str, str] = field(default_factory=lambda: {SIGNER.name: SIGNER.certificate})
    asked: int = 0
    down: bool = False
    url: str = ""

    async def answer(self, _request: web.Request) -> web.Response:
        """Return the certificates."""
        self.asked += 1
        return web.Response(status=503) if self.down else web.Response(text=json.dumps(self.certificates))


@asynccontextmanager
async def google() -> AsyncIterator[Google]:
    """Run one."""
    served = Google()
    app = web.Application()
    app.router.add_get("/certs", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/certs"
    try:
        yield served
    finally:
        await runner.cleanup()


@dataclass
class Agent:
    """A running agent, a client of it, and what is behind it."""

    client: aiohttp.ClientSession
    instance: Instance
    host: str

    async def status(self, method: str, path: str, **headers: str) -> int:
        """Send one request; return the status. Names of headers come with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, path, headers=named) as answer:
            return answer.status


@asynccontextmanager
async def agent(
    folder: Path, certificates_url: str = "http://127.0.0.1:9/", **environment: str
) -> AsyncIterator[Agent]:
    """Serve an agent on an empty bucket. Its Google is at `certificates_url`, by default nowhere."""
    settings = Settings.from_env({"BACKUP_URL": f"file://{folder}/bucket", **environment})
    (folder / "bucket").mkdir()
    store = open_store(settings.effective_backup_url, emulator_host=None, project=None)
    edge = Edge(settings, Gate())
    instance = build(settings, Repository(store), edge)
    tokens = GoogleTokens(settings, certificates_url=certificates_url)
    runner = web.AppRunner(agent_app(instance, settings, tokens=tokens))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(f"http://{host}") as client:
            yield Agent(client, instance, host)
    finally:
        await runner.cleanup()
        await instance.replica.engine.close()
        await edge.stop()
