"""The documentation says what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_table_of_variables_is_the_codes_own() -> None:
    """docs/configuration.md holds the table that `python -m local.reference` writes."""
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert page == reference.renewed(page)


def test_the_readme_is_short() -> None:
    """A newcomer reads all of it: at most 100 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page is a file here."""
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    """Whoever types `make X` from a page finds a target X."""
    named = set(re.findall(r"`(?:\w+=\S+ )?make ([a-z][a-z-]*)", page.read_text()))
    named |= set(re.findall(r"(?m)^(?:\w+=\S+ )?make ([a-z][a-z-]*)", page.read_text()))
    rules = "".join(path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("make/*.mk")])
    known = set(re.findall(r"(?m)^([a-z][a-z-]*):", rules))

    assert named - known == set()


def test_commands_that_the_readme_names_exist() -> None:
    """Every `python -m runtime X` of the README is a command."""
    named = set(re.findall(r"python -m runtime ([a-z]+)", (ROOT / "README.md").read_text()))
    listed = subprocess.run(
        [sys.executable, "-m", "runtime", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert named
    assert {command for command in named if not re.search(rf"(?m)^  {command} ", listed)} == set()
