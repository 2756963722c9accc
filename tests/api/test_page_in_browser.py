from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.repository import names
from tests.api.browser import browser, find_browser
from tests.edge.stage import in_loop
from tests.support.instances import ROOT, Fleet, Instance
from tests.support.workload import make, put_numbers

KEY = "key-of-the-page"
PICTURES = ROOT / "build" / "status-page"
KEPT = 6


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Instance]:
    """Run an instance that was restored, and has a few backups of its own."""
    with Fleet(tmp_path) as fleet:
        first = fleet.start()
        make(first, "books")
        put_numbers(first, "books", range(100))
        first.terminate()
        # Without a journal, which would hold what no backup does: the page then says that it is being saved.
        rarely = {"BACKUP_QUIET_SECONDS": "60", "BACKUP_MAX_AGE_SECONDS": "60", "DURABILITY": "snapshot"}
        second = fleet.start(QDRANT_API_KEY=KEY, **rarely)
        second.http.headers["api-key"] = KEY
        for number in range(KEPT):
            put_numbers(second, "books", range(100 + number * 50, 150 + number * 50))
            assert second.ask("POST", "/api/snapshot").status_code == 200
        yield second


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed (apt-get install chromium)")
@in_loop
async def test_a_person_sees_the_page_and_backs_up(written: Instance) -> None:
    """With the key as password a real browser shows the page, its button saves, and nothing else is asked for.

    Pictures of it are kept in build/status-page.
    """
    program = find_browser()
    assert program is not None
    async with browser(program) as page:
        await page.open(f"http://:{KEY}@127.0.0.1:{written.port}/status")
        assert await page.value("document.querySelector('h1').textContent") == "Your data is safe"
        assert await page.value("document.querySelectorAll('tbody tr').length") >= KEPT
        assert await page.value("document.querySelectorAll('svg').length") == 3
        # The style counts: without it, as under a policy that refused it, the heading would be black on white.
        assert await page.value("getComputedStyle(document.querySelector('header')).borderRadius") == "14px"

        for width, name in ((1100, "wide"), (390, "phone")):
            for dark in (False, True):
                await page.look(PICTURES / f"{name}-{'dark' if dark else 'light'}.png", width=width, dark=dark)
                assert await page.value("document.documentElement.scrollWidth") <= width

        put_numbers(written, "books", range(1000, 1010))
        before = written.health()["backup"]
        await page.open(f"http://127.0.0.1:{written.port}/status")
        assert await page.value("document.querySelector('h1').textContent") == "Your data is being saved"
        await page.look(PICTURES / "saving.png", width=1100, dark=False)
        await page.value("window.old = true; document.querySelector('button').click()")
        await page.until("document.readyState === 'complete' && !window.old")

        after = written.health()["backup"]
        assert await page.value("document.querySelector('h1').textContent") == "Your data is safe"
        assert before["unsaved_writes"] > 0
        assert after["unsaved_writes"] == 0
        newest = await page.value("document.querySelector('tbody code').textContent")
        assert newest == names.manifest_id(after["newest"])
        assert newest > names.manifest_id(before["newest"])
        assert {request.split("/")[2].rpartition("@")[2] for request in page.requests() if "//" in request} == {
            f"127.0.0.1:{written.port}"
        }
        assert page.complaints() == []
