"""Who may do what, computed from the grants a stack declares.

Knows the permissions of the predefined roles in use (Google's documentation, object permissions only) and the
two forms of condition that the program writes; anything else is an error, so that a new role or condition has
to be looked at here before a test passes.
"""

import re
from collections.abc import Mapping
from typing import Final

from tests.infra.recorder import Recorder

_PREDEFINED: Final[Mapping[str, frozenset[str]]] = {
    "roles/storage.objectViewer": frozenset({"get", "list"}),
    "roles/storage.objectCreator": frozenset({"create"}),
}


def allowed(recorder: Recorder, account: str, name: str) -> set[str]:
    """Return what an account may do to an object of the bucket."""
    custom = {
        f"projects/{role.inputs['project']}/roles/{role.inputs['roleId']}": frozenset(
            permission.removeprefix("storage.objects.") for permission in role.inputs["permissions"]
        )
        for role in recorder.all("IAMCustomRole")
    }
    bucket = recorder.only("bucket:Bucket").inputs["name"]
    verbs: set[str] = set()
    for grant in recorder.all("bucketIAMMember:BucketIAMMember"):
        member, condition = grant.inputs["member"], grant.inputs.get("condition")
        if account in member and (condition is None or _holds(condition["expression"], bucket, name)):
            verbs |= {**_PREDEFINED, **custom}[grant.inputs["role"]]
    return verbs


def _holds(expression: str, bucket: str, name: str) -> bool:
    """Whether any term of a condition holds for an object."""
    full = f"projects/_/buckets/{bucket}/objects/{name}"
    return any(_term_holds(term, full) for term in expression.split(" || "))


def _term_holds(term: str, full: str) -> bool:
    """Whether one comparison holds; only the two forms in use are known."""
    if match := re.fullmatch(r'resource\.name == "([^"]+)"', term):
        return full == match[1]
    if match := re.fullmatch(r'resource\.name\.startsWith\("([^"]+)"\)', term):
        return full.startswith(match[1])
    raise AssertionError(f"a condition that this evaluator does not know: {term}")
