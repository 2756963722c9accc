"""The bucket that keeps the data.

Owns the bucket, and that accounts are granted what `components.grants` says of them. Deliberately has no retention
lock, which would forbid replacing HEAD, and knows nothing of what objects hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import kms, projects, storage

from components.choices import Keeping, Place
from components.grants import Right, condition, grants

_DAY_SECONDS: Final = 24 * 60 * 60
_UNFINISHED_UPLOAD_DAYS: Final = 7


@dataclass(frozen=True, kw_only=True)
class SnapshotBucketArgs:
    """Where, how long, and the members by role; `components.grants` says what each may do."""

    place: Place
    keeping: Keeping
    members: Mapping[str, pulumi.Output[str]]


class SnapshotBucket(pulumi.ComponentResource):
    """A bucket whose backups only the pruning account can delete."""

    name: pulumi.Output[str]

    def __init__(self, name: str, args: SnapshotBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:storage:SnapshotBucket", name, None, opts)
        self._logical = name
        key_grant = self._let_storage_use_the_key(args) if args.keeping.kms_key else []
        bucket = storage.Bucket(
            f"{name}-bucket",
            name=args.place.names.bucket,
            project=args.place.project,
            # Upper case as the service answers it, so that a refresh finds nothing to change.
            location=(args.keeping.pair[1] if args.keeping.pair else args.place.region).upper(),
            custom_placement_config=(
                storage.BucketCustomPlacementConfigArgs(
                    data_locations=[args.place.region.upper(), args.keeping.pair[0].upper()]
                )
                if args.keeping.pair
                else None
            ),
            storage_class="STANDARD",
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=True),
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=args.keeping.soft_delete_days * _DAY_SECONDS
            ),
            lifecycle_rules=[
                storage.BucketLifecycleRuleArgs(
                    action=storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    condition=storage.BucketLifecycleRuleConditionArgs(
                        days_since_noncurrent_time=args.keeping.old_version_days, with_state="ARCHIVED"
                    ),
                ),
                storage.BucketLifecycleRuleArgs(
                    action=storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
                    condition=storage.BucketLifecycleRuleConditionArgs(age=_UNFINISHED_UPLOAD_DAYS),
                ),
            ],
            encryption=(
                storage.BucketEncryptionArgs(default_kms_key_name=args.keeping.kms_key)
                if args.keeping.kms_key
                else None
            ),
            # A stack that is not protected is destroyed with its backups; a protected one keeps the bucket.
            force_destroy=not args.place.protected,
            labels=args.place.labels,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.place.protected,
                retain_on_delete=args.place.protected,
                depends_on=key_grant,
            ),
        )
        self.name = bucket.name
        self._grant(args, bucket)
        self.register_outputs({"name": self.name})

    def _grant(self, args: SnapshotBucketArgs, bucket: storage.Bucket) -> None:
        remover = projects.IAMCustomRole(
            f"{self._logical}-remover",
            project=args.place.project,
            role_id=args.place.names.remover_role,
            title="Qdrant object remover",
            description="Delete an object, nothing else; granted only with a condition on the object's name",
            permissions=["storage.objects.delete"],
            stage="GA",
            opts=pulumi.ResourceOptions(parent=self),
        )
        roles: dict[Right, pulumi.Input[str]] = {
            Right.READ: "roles/storage.objectViewer",
            Right.ADD: "roles/storage.objectCreator",
            Right.REMOVE: remover.name,
        }
        for grant in grants(args.place.container, args.keeping.prefix, args.members):
            expression = condition(args.place.names.bucket, grant)
            storage.BucketIAMMember(
                f"{self._logical}-{grant.title}",
                bucket=bucket.name,
                role=roles[grant.right],
                member=args.members[grant.role],
                condition=(
                    storage.BucketIAMMemberConditionArgs(title=grant.title, expression=expression)
                    if expression
                    else None
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )

    def _let_storage_use_the_key(self, args: SnapshotBucketArgs) -> list[pulumi.Resource]:
        """Grant Cloud Storage's own account the use of a customer-managed key; a bucket needs it to exist."""
        agent = storage.get_project_service_account_output(
            project=args.place.project, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        return [
            kms.CryptoKeyIAMMember(
                f"{self._logical}-key",
                crypto_key_id=args.keeping.kms_key,
                role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
                member=agent.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        ]
