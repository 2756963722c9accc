"""Who is woken finds what to do."""

import re

from components.alerts import documentation
from tests.docs.pages import ROOT, anchor, headings
from tests.infra.recorder import Recorder, deploy
from tests.infra.stacks import PROD

PAGE = (ROOT / "docs" / "runbooks.md").read_text()
KIND = "gcp:monitoring/alertPolicy:AlertPolicy"


def alerts(recorder: Recorder) -> dict[str, str]:
    """Return the documentation of every alert of a stack, by the alert's title."""
    policies = [resource.inputs for resource in recorder.declared if resource.type == KIND]
    return {policy["displayName"].partition(": ")[2]: policy["documentation"]["content"] for policy in policies}


def test_every_alert_has_a_runbook_and_links_to_it(prod: Recorder) -> None:
    """What the alert says ends with the place of its section, and the section is there."""
    found = alerts(prod)
    sections = headings("docs/runbooks.md")[1:]

    assert len(found) >= 9
    assert {title: text for title, text in found.items() if f"docs/runbooks.md#{anchor(title)}" not in text} == {}
    assert sorted(sections) == sorted(found), "docs/runbooks.md has one section for each alert"


def test_with_a_site_the_link_is_one_that_can_be_clicked() -> None:
    """With docsUrl an alert links to the page of the site that is published there."""
    found = alerts(deploy({**PROD, "docsUrl": "https://docs.acme.example/qdrant/"}, stack="prod"))

    assert len(found) >= 9
    for title, text in found.items():
        assert text.endswith(f"What to do: https://docs.acme.example/qdrant/runbooks/#{anchor(title)}")


def test_an_alert_says_what_it_means_before_where_to_look() -> None:
    """The short text comes first: a telephone shows no more."""
    assert documentation("No instance", "Nothing serves.", "").startswith("Nothing serves.\n")


def test_every_runbook_answers_the_same_questions() -> None:
    """What it means, whether data is at risk, what to do."""
    sections = re.split(r"(?m)^## ", PAGE)[1:]
    questions = ("**What it means.**", "**Is data at risk?**", "**Do.**")

    assert [part.splitlines()[0] for part in sections if not all(question in part for question in questions)] == []
