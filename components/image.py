"""The container image.

Owns the Artifact Registry repository and how an image gets there: built from this folder, or pulled through
a remote repository where the given image is in a registry that Cloud Run cannot read. Hands over a reference
by digest, never a tag: a tag that moves changes what runs without a new revision. Knows nothing of what is
in the image.
"""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker_build as docker_build
from pulumi.output import UNKNOWN
from pulumi_gcp import artifactregistry, organizations

from components.choices import ImageSource, Place
from components.sources import digest_of_sources

_DIRECT: Final = ("docker.io", "gcr.io", "pkg.dev")
_KEPT_IMAGES: Final = 10
_OLD_AFTER: Final = f"{30 * 24 * 60 * 60}s"


@dataclass(frozen=True, kw_only=True)
class QdrantImageArgs:
    """Which image, where it is kept, and who reads it."""

    place: Place
    source: ImageSource
    reader: pulumi.Input[str]


class QdrantImage(pulumi.ComponentResource):
    """An image by digest that Cloud Run can pull."""

    reference: pulumi.Output[str]

    def __init__(self, name: str, args: QdrantImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:image:QdrantImage", name, None, opts)
        self._name, self._args = name, args
        host = registry_host(args.source.given)
        if not args.source.given:
            self.reference = self._build(self._repository(upstream=""))
        elif host.endswith(_DIRECT):
            self.reference = pulumi.Output.from_input(args.source.given)
        else:
            mirror = self._repository(upstream=host)
            path = args.source.given.removeprefix(f"{host}/")
            self.reference = _address(args, mirror).apply(lambda address: f"{address}/{path}")
        self.register_outputs({"reference": self.reference})

    def _repository(self, *, upstream: str) -> artifactregistry.Repository:
        child = pulumi.ResourceOptions(parent=self)
        remote = artifactregistry.RepositoryRemoteRepositoryConfigArgs(
            docker_repository=artifactregistry.RepositoryRemoteRepositoryConfigDockerRepositoryArgs(
                custom_repository=artifactregistry.RepositoryRemoteRepositoryConfigDockerRepositoryCustomRepositoryArgs(
                    uri=f"https://{upstream}"
                )
            )
        )
        repository = artifactregistry.Repository(
            f"{self._name}-repository",
            project=self._args.place.project,
            location=self._args.place.region,
            repository_id=self._args.place.names.repository,
            format="DOCKER",
            mode="REMOTE_REPOSITORY" if upstream else "STANDARD_REPOSITORY",
            remote_repository_config=remote if upstream else None,
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
            labels=self._args.place.labels,
            opts=child,
        )
        artifactregistry.RepositoryIamMember(
            f"{self._name}-reader",
            project=self._args.place.project,
            location=self._args.place.region,
            repository=repository.repository_id,
            role="roles/artifactregistry.reader",
            member=self._args.reader,
            opts=child,
        )
        return repository

    def _build(self, repository: artifactregistry.Repository) -> pulumi.Output[str]:
        args = self._args
        tag = digest_of_sources(args.source)
        image = docker_build.Image(
            f"{self._name}-build",
            tags=[_address(args, repository).apply(lambda address: f"{address}/qdrant:{tag}")],
            context=docker_build.BuildContextArgs(location="."),
            dockerfile=docker_build.DockerfileArgs(location=args.source.dockerfile),
            build_args=args.source.build_args or None,
            platforms=[docker_build.Platform.LINUX_AMD64],
            push=True,
            # A preview then needs neither a Docker daemon nor the right to push.
            build_on_preview=False,
            registries=[
                docker_build.RegistryArgs(
                    address=f"{args.place.region}-docker.pkg.dev",
                    username="oauth2accesstoken",
                    password=self._registry_password(),
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return image.ref.apply(pinned)

    def _registry_password(self) -> pulumi.Output[str]:
        """Return a token of whoever deploys; a preview pushes nothing and asks for none."""
        if pulumi.runtime.is_dry_run():
            return pulumi.Output.secret("")
        # An access token that lasts an hour, not a stored credential; the builder ignores its changes.
        config = organizations.get_client_config_output(opts=pulumi.InvokeOutputOptions(parent=self))
        return pulumi.Output.secret(config.access_token)


def registry_host(reference: str) -> str:
    """Return the registry of an image reference; Docker Hub where it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first) else "docker.io"


def pinned(reference: str) -> str:
    """Return the reference if it is by digest; unknown in a preview, where nothing has been built yet."""
    if "@sha256:" in reference:
        return reference
    if pulumi.runtime.is_dry_run():
        return UNKNOWN  # type: ignore[return-value]  # the engine takes it for a value that is not known yet
    raise pulumi.RunError(f"the build answered {reference} without a digest. Only digests are deployed.")


def _address(args: QdrantImageArgs, repository: artifactregistry.Repository) -> pulumi.Output[str]:
    return repository.repository_id.apply(
        lambda name: f"{args.place.region}-docker.pkg.dev/{args.place.project}/{name}"
    )
