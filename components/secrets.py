"""The API keys.

Owns the secrets and the versions that services and jobs read. A generated key lives in Pulumi's state encrypted with
the stack's secrets provider, as does one that was given; Secret Manager gets it by a write-only argument,
which no refresh brings back. Deliberately exports no key: people read it from Secret Manager, which logs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_random as random
from pulumi_gcp import secretmanager

from components.choices import Key, Place
from components.pinned import PinnedSecret

_KEY_LENGTH: Final = 40


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """The keys, and the member of each role."""

    place: Place
    keys: Sequence[Key]
    rotation: int
    readers: Mapping[str, pulumi.Input[str]]


class Secrets(pulumi.ComponentResource):
    """API keys in Secret Manager, readable by the accounts that use them alone; `pinned` by role and variable."""

    pinned: Mapping[str, Mapping[str, PinnedSecret]]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:secrets:Secrets", name, None, opts)
        made = {key.variable: self._key(name, key, args) for key in args.keys}
        self.pinned = {
            role: {key.variable: made[key.variable] for key in args.keys if role in key.roles} for role in args.readers
        }
        self.register_outputs({variable: pinned.secret for variable, pinned in made.items()})

    def _key(self, name: str, key: Key, args: SecretsArgs) -> PinnedSecret:
        purpose = key.variable.lower().replace("_", "-").removeprefix("qdrant-")
        name = f"{name}-{purpose}"
        child = pulumi.ResourceOptions(parent=self)
        value = key.given or self._generated(name, args.rotation)
        secret = secretmanager.Secret(
            name,
            project=args.place.project,
            secret_id=args.place.names.secret(purpose),
            replication=secretmanager.SecretReplicationArgs(auto=secretmanager.SecretReplicationAutoArgs()),
            deletion_protection=args.place.protected,
            labels=args.place.labels,
            opts=pulumi.ResourceOptions(parent=self, protect=args.place.protected),
        )
        version = secretmanager.SecretVersion(
            f"{name}-version",
            secret=secret.id,
            secret_data_wo=value,
            secret_data_wo_version=str(args.rotation),
            opts=child,
        )
        for role in key.roles:
            secretmanager.SecretIamMember(
                f"{name}-for-{role}",
                project=args.place.project,
                secret_id=secret.secret_id,
                role="roles/secretmanager.secretAccessor",
                member=args.readers[role],
                opts=child,
            )
        return PinnedSecret(secret.secret_id, version.version)

    def _generated(self, name: str, rotation: int) -> pulumi.Output[str]:
        password = random.RandomPassword(
            f"{name}-value",
            length=_KEY_LENGTH,
            # Letters and digits only: the key travels in headers, environment variables and shells.
            special=False,
            keepers={"rotation": str(rotation)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return password.result
