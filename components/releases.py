"""Where delivered images are kept: one repository, so that prod gets the very image that dev was verified with.

Owns the repository and who adds to it. Images get there by `make push`, not by a stack; a stack is given one by
digest. Cloud Run of the same project reads it without a grant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import artifactregistry

from components.choices import Place

_KEPT_IMAGES: Final = 20
_OLD_AFTER: Final = f"{90 * 24 * 60 * 60}s"


@dataclass(frozen=True, kw_only=True)
class ReleasesArgs:
    """Where, and the members by role: preview reads, deploy adds."""

    place: Place
    members: Mapping[str, pulumi.Output[str]]


class Releases(pulumi.ComponentResource):
    """A repository of images whose tags do not move."""

    address: pulumi.Output[str]

    def __init__(self, name: str, args: ReleasesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:image:Releases", name, None, opts)
        repository = artifactregistry.Repository(
            f"{name}-repository",
            project=args.place.project,
            location=args.place.region,
            repository_id=f"{args.place.names.base}-releases",
            format="DOCKER",
            mode="STANDARD_REPOSITORY",
            # A tag is a commit: it says the same for ever.
            docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            cleanup_policies=[
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="keep-newest",
                    action="KEEP",
                    most_recent_versions=artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(
                        keep_count=_KEPT_IMAGES
                    ),
                ),
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="delete-old",
                    action="DELETE",
                    condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                        tag_state="ANY", older_than=_OLD_AFTER
                    ),
                ),
            ],
            cleanup_policy_dry_run=False,
            labels=args.place.labels,
            opts=pulumi.ResourceOptions(parent=self),
        )
        for user, role in (("preview", "reader"), ("deploy", "writer")):
            artifactregistry.RepositoryIamMember(
                f"{name}-{user}",
                project=args.place.project,
                location=args.place.region,
                repository=repository.repository_id,
                role=f"roles/artifactregistry.{role}",
                member=args.members[user],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.address = repository.repository_id.apply(
            lambda identifier: f"{args.place.region}-docker.pkg.dev/{args.place.project}/{identifier}"
        )
        self.register_outputs({"address": self.address})
