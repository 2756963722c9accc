import re

import pytest

from deployment import report
from deployment.pulumi import Plan
from release import changelog, licences
from tests.infra.generated import ROOT


def test_every_locked_package_has_a_licence_that_is_allowed() -> None:
    """Nothing that is installed, shipped or deployed with has a licence that nobody looked at."""
    packages = licences.locked(ROOT)

    assert len(packages) > 100
    assert list(licences.findings(packages)) == []


def test_every_exception_has_a_reason() -> None:
    """Who reads the list learns why."""
    assert all(len(reason) > 20 for _, reason in licences.EXCEPTIONS.values())


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND MIT", False),
        ("GPL-2.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_by_an_alternative_that_is(expression: str, *, is_allowed: bool) -> None:
    """One allowed alternative is enough, all parts of it are needed; what is not understood is not allowed."""
    assert licences.allowed(expression) == is_allowed


def test_a_tool_s_licence_is_not_allowed_in_what_is_shipped() -> None:
    """A copyleft package that is fine as a tool is told once the container's lock has it."""
    found = list(licences.findings({**licences.locked(ROOT), "codespell": ["requirements/runtime.txt"]}))

    assert [finding.package for finding in found] == ["codespell"]
    assert "requirements/runtime.txt" in found[0].reason


def test_an_exception_that_is_not_needed_is_told() -> None:
    """The list does not keep packages that are gone."""
    packages = licences.locked(ROOT)
    del packages["codespell"]

    assert [finding.package for finding in licences.findings(packages)] == ["codespell"]


def test_the_changelog_has_a_section_for_what_comes() -> None:
    """Changes since the last release are under Unreleased, which can be cut off as it is."""
    text = (ROOT / "CHANGELOG.md").read_text()

    assert "### Added" in changelog.notes(text.replace("## Unreleased", "## 9.9.9"), "v9.9.9")


def step(op: str, name: str, **more: object) -> dict[str, object]:
    """Return a step of an engine's plan."""
    return {"op": op, "urn": f"urn:pulumi:dev::p::qdrant:run:QdrantService$gcp:a/b:B::{name}", **more}


def test_a_report_counts_and_names_and_shows_no_value() -> None:
    """Operations are counted, resources and properties named; what the plan holds of values is left out."""
    plan = {
        "steps": [
            step("same", "kept"),
            step("update", "changed", detailedDiff={"template.env": {}, "labels": {}}, newState={"v": "hunter2"}),
            step("create", "made", newState={"inputs": {"secretData": "hunter2"}}),
            step("replace", "other", diffReasons=["name"]),
        ]
    }
    text = report.described("dev", Plan(plan, ""))

    assert text.startswith("### dev: 1 to create, 1 to replace, 1 to update\n")
    assert "| update | `changed` (gcp:a/b:B) | `labels`, `template.env` |" in text
    assert "| replace | `other` (gcp:a/b:B) | `name` |" in text
    assert "kept" not in text
    assert "hunter2" not in text


def test_a_report_fits_a_comment_however_much_changes() -> None:
    """A thousand changes and a complaint without end are cut, and say so; the fence cannot be left."""
    many = report.described("prod", Plan({"steps": [step("create", f"n{i}") for i in range(1000)]}, ""))
    long = report.described("dev", Plan({}, "```\n# gone\n" + "x" * 200_000))

    assert "1000 to create" in many
    assert "… and 940 more." in many
    assert len(report.comment([many, long])) < 65_536
    assert len(re.findall("```", long)) == 2
