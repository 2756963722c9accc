"""docs/troubleshooting.md quotes what the program says."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
QUOTED = re.findall(r'(?m)^\| "([^"]+)" \|', PAGE)
HOLE = "\0"


def texts(node: ast.AST) -> Iterator[str]:
    """Yield every string below a node; what is filled in at run time is a hole."""
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        yield "".join(parts)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


@cache
def messages() -> tuple[str, ...]:
    """Return every string of the container's and the infrastructure's source, docstrings left out."""
    found = []
    for folder in ("runtime", "components"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    node.value = ast.Constant(value=None)
            found += list(texts(tree))
    return tuple(found)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_one_that_the_program_says(quoted: str) -> None:
    """The words stand in one string of the source, so that who searches for a message finds its line."""
    assert [text for text in messages() if quoted in text]


def test_the_page_explains_enough() -> None:
    """Each table has messages, and a message has one line."""
    assert len(QUOTED) > 40
    assert len(set(QUOTED)) == len(QUOTED)


def test_every_refusal_of_a_write_is_explained() -> None:
    """Whatever sentence a client gets with a 503 of the gate, the page has it."""
    said = []
    for file in sorted((ROOT / "runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused" and node.args:
                said += [text.partition(HOLE)[0] for text in texts(node.args[0])]

    assert len(said) >= 8
    assert [text for text in said if text and not any(quoted in text for quoted in QUOTED)] == []
