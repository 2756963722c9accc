"""The planted bugs still fit the source, and their proofs exist; `make mutations` shows that each bug is caught."""

import ast
from pathlib import Path

import pytest

from tests.crash_points.__main__ import JOURNALED, SCENARIOS
from tests.crash_points.stage import FAULTS
from tests.mutations.__main__ import MUTATIONS
from tests.mutations.mutation import Mutation, crash_points
from tests.mutations.mutation import pytest as run_by_pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_bug_can_still_be_planted(mutation: Mutation) -> None:
    """The text that a mutation replaces is there exactly once, and what it makes of it is a program."""
    mutated = mutation.mutated(ROOT)
    assert mutated != (ROOT / mutation.file).read_text()
    ast.parse(mutated)


def test_every_proof_exists() -> None:
    """The test files, scenarios and faults that proofs name are there: one that runs nothing catches nothing."""
    proofs = {mutation.proof for mutation in MUTATIONS}

    assert {proof: missing for proof in proofs if (missing := missing_of(proof))} == {}


@pytest.mark.parametrize(
    ("proof", "missing"),
    [
        (run_by_pytest("tests/core/test_tar.py", "tests/core/test_gone.py"), ["tests/core/test_gone.py"]),
        (run_by_pytest("tests/conftest.py"), ["tests/conftest.py"]),
        (crash_points("prune", "prunes"), ["prunes"]),
        (crash_points("prune", fault="never"), ["never"]),
        (("-m", "tests.simulations", "0", "200"), ["tests.simulations"]),
    ],
)
def test_a_proof_that_is_gone_is_found(proof: tuple[str, ...], missing: list[str]) -> None:
    """A file that was moved, one without a test, a scenario, a fault or a program of another name is told."""
    assert missing_of(proof) == missing


def missing_of(proof: tuple[str, ...]) -> list[str]:
    """Return what a proof names and is not there."""
    names = [scenario.name for scenario in (*SCENARIOS, *JOURNALED)]
    match proof:
        case ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *paths):
            return [path for path in paths if not (ROOT / path).is_file() or "\ndef test_" not in _text(path)]
        case ("-m", "tests.crash_points", "--fault", fault, *scenarios):
            return [*({fault} - FAULTS.keys()), *missing_of(crash_points(*scenarios))]
        case ("-m", "tests.crash_points", *scenarios):
            return [one for one in scenarios if not any(name.startswith(one) for name in names)]
        case ("-m", program, *_) if (ROOT / program.replace(".", "/") / "__main__.py").is_file():
            return []
    return list(proof[1:2])


def _text(path: str) -> str:
    """Return a file's text, with its coroutines as functions."""
    return (ROOT / path).read_text().replace("\nasync def", "\ndef")


def test_there_are_enough_of_them() -> None:
    """At least twenty bugs that others had are planted, each under a name of its own."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 20
