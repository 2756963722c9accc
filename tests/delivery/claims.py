"""What GitHub's tokens say, and what Google's federation makes of them.

The program's own CEL is evaluated by a CEL library; only `extract`, Google's addition, is written here from its
documentation: the template's text around {name} is looked for, and what stands in its place is returned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import celpy
from celpy.adapter import json_to_cel

from tests.infra.recorder import Recorder

OWNER: Final = "1234"
REPOSITORY: Final = "56789"


def token(**claims: str) -> dict[str, str]:
    """Return the claims of a job of the repository's main branch, some of them otherwise."""
    return {
        "sub": "repo:acme/search:ref:refs/heads/main",
        "ref": "refs/heads/main",
        "repository": "acme/search",
        "repository_owner": "acme",
        "repository_owner_id": OWNER,
        "repository_id": REPOSITORY,
        "event_name": "push",
        **claims,
    }


def extract(text: str, template: str) -> celpy.celtypes.StringType:
    """Return what stands in a text where a template has its name in braces; nothing where it does not fit."""
    before, _, rest = template.partition("{")
    after = rest.partition("}")[2]
    start = str(text).find(before)
    if start < 0:
        return celpy.celtypes.StringType("")
    tail = str(text)[start + len(before) :]
    if not after:
        return celpy.celtypes.StringType(tail)
    end = tail.find(after)
    return celpy.celtypes.StringType(tail[:end] if end >= 0 else "")


def evaluated(expression: str, claims: Mapping[str, str]) -> Any:
    """Return what a CEL expression says of a token."""
    environment = celpy.Environment()
    program = environment.program(environment.compile(expression), functions={"extract": extract})
    return program.evaluate({"assertion": json_to_cel(dict(claims))})


@dataclass(frozen=True)
class Federation:
    """The pool as it was declared: what it takes, what it maps, and who becomes which account."""

    condition: str
    mapping: Mapping[str, str]
    bindings: Mapping[str, str]

    @classmethod
    def declared(cls, recorder: Recorder) -> "Federation":
        """Read it from a recorded stack."""
        provider = recorder.only("WorkloadIdentityPoolProvider").inputs
        bindings = {
            grant.inputs["member"].partition("/workloadIdentityPools/qdrant-github/")[2]: grant.inputs[
                "serviceAccountId"
            ].rpartition("/")[2]
            for grant in recorder.all("serviceaccount/iAMMember:IAMMember")
            if grant.inputs["role"] == "roles/iam.workloadIdentityUser"
        }
        return cls(provider["attributeCondition"], provider["attributeMapping"], bindings)

    def becomes(self, claims: Mapping[str, str]) -> set[str]:
        """Return the accounts that the bearer of a token may become, by their role."""
        if not evaluated(self.condition, claims):
            return set()
        principals = {f"{name}/{evaluated(expression, claims)}" for name, expression in self.mapping.items()}
        return {
            account.partition("@")[0].removeprefix("qdrant-")
            for principal, account in self.bindings.items()
            if principal in principals
        }
