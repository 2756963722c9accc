"""The planted bugs still fit the source; `make mutations` plants them and shows that each is caught."""

import ast
from pathlib import Path

import pytest

from tests.mutations.__main__ import MUTATIONS
from tests.mutations.mutation import Mutation

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_bug_can_still_be_planted(mutation: Mutation) -> None:
    """The text that a mutation replaces is there exactly once, and what it makes of it is a program."""
    mutated = mutation.mutated(ROOT)
    assert mutated != (ROOT / mutation.file).read_text()
    ast.parse(mutated)


def test_there_are_enough_of_them() -> None:
    """At least twenty bugs that others had are planted, each under a name of its own."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 20
