"""Where Pulumi keeps what it knows: a bucket, and the key that its secrets are encrypted with.

Owns both and who may use them. Stays when its stack is destroyed: whoever loses the state of a stack has to
import every resource by hand, and whoever loses the key cannot read the generated API keys in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import kms, storage

from components.choices import Place

_DAY_SECONDS: Final = 24 * 60 * 60
_ROTATION_DAYS: Final = 90
_KEPT_VERSIONS: Final = 50
_KEPT_DAYS: Final = 90
_SOFT_DELETE_DAYS: Final = 30


def _bucket_name(place: Place) -> str:
    return f"{place.project}-{place.names.base}-state"


@dataclass(frozen=True, kw_only=True)
class StateArgs:
    """Where, and the members by role: preview reads, deploy writes."""

    place: Place
    members: Mapping[str, pulumi.Output[str]]


class State(pulumi.ComponentResource):
    """A versioned bucket for the state and a key for its secrets."""

    url: pulumi.Output[str]
    secrets_provider: pulumi.Output[str]

    def __init__(self, name: str, args: StateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:storage:State", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        ring = kms.KeyRing(
            f"{name}-ring",
            project=args.place.project,
            name=f"{args.place.names.base}-delivery",
            location=args.place.region,
            opts=kept,
        )
        key = kms.CryptoKey(
            f"{name}-key",
            name="state",
            key_ring=ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=f"{_ROTATION_DAYS * _DAY_SECONDS}s",
            labels=args.place.labels,
            opts=kept,
        )
        agent = storage.get_project_service_account_output(
            project=args.place.project,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[ring]),
        )
        users = {
            "storage": (agent.member, "Encrypter"),
            "preview": (args.members["preview"], ""),
            "deploy": (args.members["deploy"], "Encrypter"),
        }
        uses = {
            user: kms.CryptoKeyIAMMember(
                f"{name}-key-{user}",
                crypto_key_id=key.id,
                role=f"roles/cloudkms.cryptoKey{also}Decrypter",
                member=member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for user, (member, also) in users.items()
        }
        bucket = self._bucket(name, args, key, uses["storage"])
        for user in ("preview", "deploy"):
            storage.BucketIAMMember(
                f"{name}-bucket-{user}",
                bucket=bucket.name,
                role="roles/storage.objectViewer",
                member=args.members[user],
                opts=pulumi.ResourceOptions(parent=self),
            )
        # Pulumi replaces and deletes what it keeps, and keeps it in this folder. Listing is on the bucket, not in it.
        kept_in = f"projects/_/buckets/{_bucket_name(args.place)}/objects/.pulumi/"
        storage.BucketIAMMember(
            f"{name}-bucket-writes",
            bucket=bucket.name,
            role="roles/storage.objectUser",
            member=args.members["deploy"],
            condition=storage.BucketIAMMemberConditionArgs(
                title="pulumi-writes", expression=f'resource.name.startsWith("{kept_in}")'
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = pulumi.Output.concat("gs://", bucket.name)
        self.secrets_provider = pulumi.Output.concat("gcpkms://", key.id)
        self.register_outputs({"url": self.url, "secretsProvider": self.secrets_provider})

    def _bucket(self, name: str, args: StateArgs, key: kms.CryptoKey, use: pulumi.Resource) -> storage.Bucket:
        return storage.Bucket(
            f"{name}-bucket",
            name=_bucket_name(args.place),
            project=args.place.project,
            # Upper case as the service answers it, so that a refresh finds nothing to change.
            location=args.place.region.upper(),
            storage_class="STANDARD",
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=True),
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=_SOFT_DELETE_DAYS * _DAY_SECONDS
            ),
            lifecycle_rules=[
                storage.BucketLifecycleRuleArgs(
                    action=storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    # Both must hold: an old version goes when it is old and many newer ones are there.
                    condition=storage.BucketLifecycleRuleConditionArgs(
                        days_since_noncurrent_time=_KEPT_DAYS,
                        num_newer_versions=_KEPT_VERSIONS,
                        with_state="ARCHIVED",
                    ),
                ),
            ],
            encryption=storage.BucketEncryptionArgs(default_kms_key_name=key.id),
            force_destroy=False,
            labels=args.place.labels,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True, depends_on=[use]),
        )
