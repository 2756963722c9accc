"""docs/operations.md lists what the source says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runtime import errors
from tests.api.agent import agent
from tests.edge.stage import in_loop

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR"}


def section(title: str) -> str:
    """Return a section of the page."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def logged() -> Iterator[tuple[str, str]]:
    """Yield every event that the source logs, with its severity."""
    for file in (ROOT / "runtime").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            event = node.args[0]
            if (
                node.func.attr in LEVELS
                and isinstance(event, ast.Constant)
                and re.fullmatch(r"[a-z]+(\.[a-z_]+)+", str(event.value))
            ):
                yield str(event.value), LEVELS[node.func.attr]
    for file in (ROOT / "runtime").rglob("*.j2"):
        for severity, event in re.findall(r'"severity":"([A-Z]+)","event":"([a-z._]+)"', file.read_text()):
            yield event, severity


def test_every_event_is_listed_with_its_severity() -> None:
    """What the source logs and what the page explains are the same, each with the severity it is logged with."""
    listed = dict(re.findall(r"(?m)^\| `([a-z._]+)` \| ([A-Z]+) \|", section("Log events")))
    found: dict[str, set[str]] = {}
    for event, severity in logged():
        found.setdefault(event, set()).add(severity)

    assert len(found) > 25
    assert listed.keys() == found.keys()
    assert {event: severity for event, severity in listed.items() if severity not in found[event]} == {}


def test_every_exit_code_is_listed() -> None:
    """Each error's exit code has its line."""
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    listed = set(map(int, re.findall(r"(?m)^\| (\d) \|", section("Exit codes"))))

    assert listed == codes | {0}


@in_loop
async def test_every_metric_is_listed(tmp_path: Path) -> None:
    """What an instance exposes is on the page, and what the page names is in the source."""
    listed = set(re.findall(r"(?m)^\| `(qdrant_[a-z_]+)` \|", section("Metrics")))
    source = (ROOT / "runtime" / "api" / "metrics.py").read_text()
    async with agent(tmp_path) as asked, asked.client.get("/api/metrics") as answer:
        assert answer.status == 200
        exposed = set(re.findall(r"(?m)^# TYPE (qdrant_[a-z_]+) ", await answer.text()))

    named = set(re.findall(r'"(qdrant_[a-z_]+)"', source))
    assert exposed - listed == set()
    assert {metric.removesuffix("_total") for metric in listed} == named
    assert {metric for metric in listed if metric.endswith("_total")} >= {m for m in exposed if m.endswith("_total")}
