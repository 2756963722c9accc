"""The pages of the documentation as data: their code blocks, headings, links and pictures.

Owns reading Markdown (by markdown-it) and the anchors that headings get. Judges nothing: the tests do.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "components" / "README.md"],
    key=lambda page: (page.parts, page.name),
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@dataclass(frozen=True)
class Block:
    """A code block: where it begins, its language ("" without one) and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """Return a page's tokens."""
    return tuple(MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text()))


def blocks(page: str) -> tuple[Block, ...]:
    """Return a page's code blocks, indented ones too."""
    return tuple(
        Block(page, token.map[0] + 1, token.info.strip(), token.content)
        for token in tokens(page)
        if token.type in ("fence", "code_block") and token.map is not None
    )


def inline(page: str) -> Iterator[Token]:
    """Yield what stands inside paragraphs, headings and tables."""
    for token in tokens(page):
        yield from token.children or ()


def inline_code(page: str) -> list[str]:
    """Return the pieces of code within sentences."""
    return [token.content for token in inline(page) if token.type == "code_inline"]


def links(page: str) -> list[str]:
    """Return the targets of links and pictures."""
    found = (token.attrGet("href") or token.attrGet("src") for token in inline(page))
    return [str(target) for target in found if target]


def headings(page: str) -> list[str]:
    """Return the text of each heading."""
    every = tokens(page)
    texts = [every[at + 1] for at, token in enumerate(every) if token.type == "heading_open"]
    return ["".join(child.content for child in text.children or ()) for text in texts]


def anchor(heading: str) -> str:
    """Return a heading's anchor; for the headings here GitHub and MkDocs agree, and a test says so."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()))


def mkdocs_anchor(heading: str) -> str:
    """Return the anchor as Python-Markdown makes it: it also joins blanks and drops those at the ends."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
