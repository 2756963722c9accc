"""The documentation says what is there."""

import re
from urllib.parse import urlsplit

import pytest

from local import reference
from tests.docs.pages import NAMES, ROOT, anchor, headings, links, mkdocs_anchor


@pytest.mark.parametrize("page", reference.PAGES)
def test_generated_tables_are_what_the_code_says(page: str) -> None:
    """Each page holds the tables that `make inventory` writes."""
    text = (ROOT / "docs" / page).read_text()

    assert text == reference.renewed(page, text), "make inventory renews it"


def test_the_readme_is_short() -> None:
    """A newcomer reads all of it: at most 100 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


@pytest.mark.parametrize("page", NAMES)
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    """Every relative link and picture of a page is a file here, and every anchor a heading of that file."""
    broken = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, fragment = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        # GitHub's and Material's word for which of two pictures is shown.
        fragment = fragment.removeprefix("gh-light-mode-only").removeprefix("gh-dark-mode-only")
        found = headings(str(target.resolve().relative_to(ROOT))) if fragment and target.exists() else []
        if not target.exists() or (fragment and fragment not in map(anchor, found)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", NAMES)
def test_links_to_elsewhere_are_whole_addresses(page: str) -> None:
    """They are https, name a host and hold no blank; whether they answer is not asked here."""
    outside = [urlsplit(link) for link in links(page) if "://" in link]

    assert [link.geturl() for link in outside if link.scheme != "https" or "." not in link.netloc] == []


@pytest.mark.parametrize("page", [name for name in NAMES if name.startswith("docs/")])
def test_anchors_are_the_same_on_github_and_on_the_site(page: str) -> None:
    """A heading that is linked to has one anchor wherever the page is read, and no page has it twice."""
    found = headings(page)
    linked = {link.partition("#")[2] for other in NAMES for link in links(other) if "#" in link}

    assert [title for title in found if anchor(title) in linked and anchor(title) != mkdocs_anchor(title)] == []
    assert len(set(map(anchor, found))) == len(found)


def test_every_page_is_found_from_the_first_one() -> None:
    """Each page of docs/ is linked from docs/index.md, decisions from their own list, and in the site's menu."""
    pages = {name.removeprefix("docs/") for name in NAMES if name.startswith("docs/")}
    index = {link.partition("#")[0] for link in links("docs/index.md")}
    decisions = {f"decisions/{link}" for link in links("docs/decisions/README.md")}
    menu = set(re.findall(r"(?m)^ +- (?:\w+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text()))

    assert pages - index - decisions == {"index.md"}, "add it to the table in docs/index.md"
    assert menu == pages, "add it to nav in mkdocs.yml"


@pytest.mark.parametrize("question", ["Is my data safe?", "What does it cost?", "How do I get it back?"])
def test_the_first_questions_are_one_click_away(question: str) -> None:
    """The README links each of them to the page that answers it."""
    assert re.search(rf"\[{re.escape(question)}\]\(docs/\w+\.md(#[\w-]+)?\)", (ROOT / "README.md").read_text())


def test_security_names_tests_that_exist() -> None:
    """Each proof in docs/security.md is a test function of the file that it names."""
    proofs = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text())
    missing = [
        f"{file}::{name}"
        for file, name in proofs
        if not (ROOT / file).exists() or not re.search(rf"(?m)^(?:async )?def {name}\(", (ROOT / file).read_text())
    ]

    assert len(proofs) > 20
    assert missing == []


def test_every_threat_has_a_proof() -> None:
    """No entry of the threat list stands there without the test that shows it."""
    threats = (ROOT / "docs" / "security.md").read_text().split("## Threats")[1].split("\n## ")[0].split("\n### ")[1:]

    assert len(threats) >= 10
    assert [threat.splitlines()[0] for threat in threats if "**Shown by**" not in threat or "::" not in threat] == []
