"""A deployment that is checked, and undone when it does not pass.

Owns the order: what serves now, deploy, verify, and back to what served. What a check, a rollback or a deployment
is, others own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import requests

from deployment import revisions
from deployment.calls import Calls, RefusedError
from deployment.checks import CHECKS, Check, FailedCheckError
from deployment.revisions import NotRolledBackError
from deployment.target import CannotCheckError

PROBLEMS = (FailedCheckError, RefusedError, CannotCheckError, requests.RequestException)


@dataclass(frozen=True)
class Result:
    """A check, whether it passed, and what it saw."""

    title: str
    passed: bool
    seen: str


@dataclass(frozen=True)
class Delivered:
    """How a delivery ended: the checks' results, and what became of the traffic when one failed."""

    results: Sequence[Result]
    rolled_back: str = ""

    @property
    def passed(self) -> bool:
        """Whether what was deployed stays."""
        return all(result.passed for result in self.results)


def verified(calls: Calls, checks: Sequence[Check] = CHECKS) -> list[Result]:
    """Run every check, the later ones also when an earlier one failed."""
    results = []
    for check in checks:
        try:
            results.append(Result(check.title, passed=True, seen=check.answer(calls)))
        except PROBLEMS as problem:
            results.append(Result(check.title, passed=False, seen=str(problem)))
    return results


def deliver(calls_now: Callable[[], Calls | None], deploy: Callable[[], None]) -> Delivered:
    """Deploy and verify; when a check fails, send the traffic back to the revision that served before.

    `calls_now` gives the calls to the stack as it is deployed at that moment, None before its first deployment. A
    deployment that fails by itself raises: Cloud Run then keeps the traffic where it was.
    """
    earlier = calls_now()
    before = revisions.serving(earlier) if earlier else ""
    deploy()
    calls = calls_now()
    if calls is None:
        raise CannotCheckError("the deployment ended well and the stack has no outputs; look at pulumi stack output")
    results = verified(calls)
    if all(result.passed for result in results):
        return Delivered(results)
    if not before:
        return Delivered(results, "there was nothing before it to go back to")
    try:
        return Delivered(results, f"back: {revisions.roll_back(calls, before)}")
    except (NotRolledBackError, *PROBLEMS) as problem:
        return Delivered(results, f"NOT rolled back to {before}: {problem}")
