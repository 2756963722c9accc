import base64
import datetime as dt
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from runtime.api.page import page_headers, render
from tests.api.agent import agent
from tests.api.test_words import NOW, health
from tests.edge.stage import in_loop

NASTY = "<script>alert(1)</script>\"'&"


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))


def facts(text: str = "x", *, backups: int = 3, **more: Any) -> dict[str, Any]:
    """Return what the page is made of; every text in it is `text`."""
    listed = [
        {
            "id": f"00000001-{number:010d}{text}", "created_at": (NOW - dt.timedelta(minutes=number)).isoformat(),
            "reason": text, "points": 1000 * number, "bytes": 5000 * number,
            "verified": (None, True, False)[number % 3],
            "damaged": number == 7,
        }
        for number in range(backups, 0, -1)
    ]  # fmt: skip
    recent = [{"manifest": f"manifests/{listed[0]['id']}.json", "seconds": 0.3, "age_seconds": 90.0}] if listed else []
    restore = {"damaged": [text], "backup": text, "points": 7, "bytes": 8, "milliseconds": 9}
    return {
        "health": health(
            engine={"version": text}, instance=text, epoch=3, memory={"used": 10**9, "limit": 2 * 10**9},
            restore=restore, store={"error": text, "url": text}, **more,
        ),
        "backups": listed, "backups_in_all": 50, "backups_unverified": 2, "bucket_error": text, "recent": recent,
        "reachable_from": 1.77e9,
    }  # fmt: skip


def test_every_value_is_escaped() -> None:
    """Whatever names, errors and ids contain, the page has the tags of its template and no others."""
    plain, nasty = Tags(render(facts("x", backups=10), NOW)), Tags(render(facts(NASTY, backups=10), NOW))

    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in nasty.tags] == [sorted(attributes) for _, attributes in plain.tags]


def test_the_page_asks_nobody_for_anything() -> None:
    """No script, no style or event attribute, and no address but its own form's."""
    tags = Tags(render(facts(backups=30), NOW)).tags

    assert not [tag for tag, _ in tags if tag in {"script", "img", "iframe", "object", "embed", "base"}]
    for tag, attributes in tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href", "action"):
            assert attributes.get(name, "data:,") in {"data:,", "/api/snapshot"}, tag


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    """The policy starts from nothing, and its hash is that of the style on the page."""
    policy = dict(part.strip().split(" ", 1) for part in page_headers()["Content-Security-Policy"].split(";"))
    style = re.search(r"(?s)<style>(.*)</style>", render(facts(), NOW))

    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy


def test_a_start_without_any_backup_has_a_page_too() -> None:
    """Before the first backup, with memory and bucket unknown, the page says so and draws nothing."""
    empty = facts(backups=0) | {"bucket_error": None, "backups_in_all": None}
    empty["health"] |= {"restore": None, "memory": {"used": None, "limit": 0}, "store": {"error": None, "url": "u"}}

    page = render(empty, NOW)

    assert "the first follows the first write" in page
    assert "<svg" not in page


@in_loop
async def test_a_program_gets_json(tmp_path: Path) -> None:
    """The same route answers JSON to whoever does not ask for a page, and says when it is not to be kept."""
    async with agent(tmp_path) as asked:
        async with asked.client.get("/status") as answer:
            told = await answer.json()
        async with asked.client.get("/status", headers={"accept": "text/html,*/*"}) as page:
            assert page.content_type == "text/html"
            assert page.headers["Cache-Control"] == "no-store"
            assert "The instance is restoring" in await page.text()
    assert told["health"]["role"] == "restoring"
    assert told["backups"] == []


def test_a_journal_is_told_of() -> None:
    """What a start would do again, and from when on any moment can be recovered."""
    journal = {"error": None, "failing_seconds": None, "to_replay": 1234, "to_replay_seconds": 1.5}
    page = render(facts(journal=journal), NOW)

    assert "a start does 1,234 again, in about 1.5 s" in page
    assert "any moment since 2026-02-02 02:40:00 UTC can be recovered" in page
