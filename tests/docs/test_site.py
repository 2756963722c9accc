"""The documentation is also a site that stands on its own."""

import functools
import http.server
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.browser import browser, find_browser
from tests.docs.pages import NAMES, ROOT
from tests.edge.stage import in_loop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed (make setup installs it)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the site on this machine."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each page of docs/ is a page there, with its title."""
    pages = [name.removeprefix("docs/").removesuffix(".md") for name in NAMES if name.startswith("docs/")]
    folders = [page.removesuffix("README").removesuffix("index") for page in pages]

    assert [folder for folder in folders if not (site / folder / "index.html").exists()] == []


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed (apt-get install chromium)")
@in_loop
async def test_the_site_asks_nobody_else(address: str) -> None:
    """A real browser loads fonts, scripts, styles, pictures and the search from the site alone, without complaint."""
    program = find_browser()
    assert program is not None
    async with browser(program) as page:
        for path in ("/", "/cost/", "/decisions/"):
            await page.open(address + path)
            await page.until("document.querySelector('h1') !== null")

        asked = [request for request in page.requests() if not request.startswith(("data:", "blob:"))]
        assert len(asked) > 8
        assert [request for request in asked if not request.startswith(address)] == []
        assert page.complaints() == []
