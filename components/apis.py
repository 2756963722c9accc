"""The Google APIs a stack uses.

Owns that they are enabled. Deliberately never disables one: others in the project may use it, and disabling
the service usage or IAM API locks this program out of its own clean-up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import projects

from components.choices import Place

ALWAYS: Final = ("artifactregistry", "cloudscheduler", "iam", "run", "secretmanager", "storage")


@dataclass(frozen=True, kw_only=True)
class ApisArgs:
    """Which APIs, as the first label of NAME.googleapis.com."""

    place: Place
    extra: Sequence[str]


class Apis(pulumi.ComponentResource):
    """Enables APIs; whatever depends on this component is created after all of them."""

    def __init__(self, name: str, args: ApisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:project:Apis", name, None, opts)
        for api in (*ALWAYS, *args.extra):
            projects.Service(
                f"{name}-{api}",
                project=args.place.project,
                service=f"{api}.googleapis.com",
                disable_on_destroy=False,
                disable_dependent_services=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
