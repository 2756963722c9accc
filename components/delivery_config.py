"""The configuration of the bootstrap stack: read once, checked whole, frozen.

Owns its few keys. A key that is wrong is told as one of any stack is: with the others, and with its fix.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import pulumi
from pulumi.runtime import config as engine_config

from components.choices import Place
from components.container import Container
from components.naming import Names
from components.options import Option
from components.problems import ConfigProblems, Findings
from components.reader import Reader

PROJECT_NAME: Final = "qdrant-delivery"
_BASE: Final = "qdrant"
_LARGEST_ID: Final = 9_999_999_999
_ENVIRONMENT: Final = re.compile(r"[a-z][a-z0-9-]*")
OPTIONS: Final = (
    Option("project", "", "Google Cloud project id (not its number) that is deployed to. Required."),
    Option("region", "", "Region of state, key and images, such as europe-west1. Required."),
    Option("githubOwnerId", "", "Number of the repository's owner: gh api repos/OWNER/NAME --jq .owner.id. Required."),
    Option("githubRepositoryId", "", "Number of the repository: gh api repos/OWNER/NAME --jq .id. Required."),
    Option("environments", "dev,prod", "GitHub environments whose jobs may deploy, comma-separated."),
)


@dataclass(frozen=True, kw_only=True)
class DeliveryConfig:
    """Where things are made and for which repository; every field is checked."""

    project: str
    region: str
    owner_id: str
    repository_id: str
    environments: tuple[str, ...]

    @classmethod
    def load(cls) -> Self:
        """Read the running stack's configuration, or raise ConfigProblems with everything wrong in it."""
        return cls.parse({**engine_config.get_config_env(), **engine_config.CONFIG.get()}, stack=pulumi.get_stack())

    @classmethod
    def parse(cls, values: Mapping[str, str], *, stack: str) -> Self:
        """Check raw values, `qdrant-delivery:KEY`, of a stack."""
        own = {key.partition(":")[2]: value for key, value in values.items() if key.startswith(f"{PROJECT_NAME}:")}
        findings = Findings({option.name: own.get(option.name) or option.default for option in OPTIONS})
        read = Reader(findings)
        for key in sorted(own.keys() - findings.values.keys()):
            findings.add(key, "there is no such key", fix=f"pulumi config rm {key}")
        config = cls(
            project=read.project("project"),
            region=read.region("region"),
            owner_id=str(read.integer("githubOwnerId", 1, _LARGEST_ID)),
            repository_id=str(read.integer("githubRepositoryId", 1, _LARGEST_ID)),
            environments=read.listed("environments"),
        )
        # They become part of an IAM principal, where other characters would have to be escaped.
        if not config.environments or not all(_ENVIRONMENT.fullmatch(name) for name in config.environments):
            reason = "one or more names of small letters, digits and dashes are needed"
            findings.add("environments", reason, fix="pulumi config set environments dev,prod")
        if findings.found:
            raise ConfigProblems(stack, findings.found)
        return config

    def place(self, container: Container) -> Place:
        """Return where the stack is made."""
        return Place(
            container=container,
            project=self.project,
            region=self.region,
            names=Names(base=_BASE, project=self.project),
            labels={"app": "qdrant", "environment": "delivery", "stack": "delivery", "managed-by": "pulumi"},
            protected=True,
        )
