"""A real browser without a window, driven by Chrome's own protocol: pages as people see them."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

BOUND_SECONDS = 40.0
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the browser's path, or None where none is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page. `seen` has every event the browser reported: requests, violations, errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.seen: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; events on the way are kept."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(BOUND_SECONDS):
            while (message := await self._socket.receive_json()).get("id") != number:
                self.seen.append(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, expression: str) -> Any:
        """Return what an expression is on the page."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Poll until an expression is true."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not await self.value(expression):
                await asyncio.sleep(0.05)

    async def look(self, file: Path, *, width: int, dark: bool) -> None:
        """Keep a picture of the whole page at a width, in a colour scheme."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        picture = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(picture["data"]))

    def requests(self) -> list[str]:
        """Return the address of every request the page has made."""
        return [event["params"]["request"]["url"] for event in self.seen if event["method"] == _REQUEST]

    def complaints(self) -> list[str]:
        """Return what the browser objected to: errors of the page, and what its policy forbade."""
        issues = [event["params"]["issue"] for event in self.seen if event["method"] == "Audits.issueAdded"]
        forbidden = [issue for issue in issues if issue["code"] == "ContentSecurityPolicyIssue"]
        errors = [event["params"]["entry"] for event in self.seen if event["method"] == "Log.entryAdded"]
        return [json.dumps(found) for found in (*forbidden, *errors)]


_REQUEST = "Network.requestWillBeSent"


@asynccontextmanager
async def browser(program: str) -> AsyncIterator[Browser]:
    """Run a browser with an empty profile on one blank page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen(  # noqa: ASYNC220 - started once, in no hurry
            [
                program,
                "--headless=new",
                "--no-sandbox",  # a container's root cannot have Chrome's own
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    page = next(entry for entry in await answer.json() if entry["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    opened = Browser(socket)
                    for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
                        await opened.call(f"{domain}.enable")
                    yield opened
        finally:
            child.kill()
            child.wait()


async def _port(file: Path) -> int:
    """Return the port that the browser wrote into its file."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not (file.exists() and file.read_text().strip()):
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])
