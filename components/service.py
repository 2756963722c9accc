"""A Cloud Run service of Qdrant: the one instance that writes, or readers.

Owns its resources, probes, environment, who may call it, and how it reaches a network. Deliberately has one container,
always with CPU, and knows nothing of roles: the environment tells the container what it is. The values of the
environment and the ports come from whoever declares it, because the container's contract is not this component's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import cloudrunv2

from components.choices import Place, Serving
from components.pinned import PinnedSecret
from components.sizing import RESERVED_MIB, quantity

_PROBE_PERIOD: Final = 5
_PROBE_TIMEOUT: Final = 3
# Three missed answers, half a minute: a busy instance must not be killed for being busy.
_LIVENESS_PERIOD: Final = 10
_LIVENESS_FAILURES: Final = 3
# Cloud Run's own maximum: for the writer there is no second instance that could take what is beyond it.
_CONCURRENCY: Final = 1000
_VOLUME: Final = "storage"


@dataclass(frozen=True, kw_only=True)
class QdrantServiceArgs:
    """What runs, under which name, how big, and who calls. `audience`: as `Place.audience`, where tokens matter."""

    place: Place
    name: str
    audience: str = ""
    serving: Serving
    image: pulumi.Input[str]
    account: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, PinnedSecret]
    callers: Mapping[str, pulumi.Output[str]]


class QdrantService(pulumi.ComponentResource):
    """Qdrant as a Cloud Run service."""

    url: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: QdrantServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:run:QdrantService", name, None, opts)
        preview_feature = bool(args.serving.disk_mib)
        service = cloudrunv2.Service(
            f"{name}-service",
            name=args.name,
            project=args.place.project,
            location=args.place.region,
            description="Qdrant, its data kept by a bucket",
            ingress=f"INGRESS_TRAFFIC_{_INGRESS[args.serving.ingress]}",
            invoker_iam_disabled=args.serving.public,
            custom_audiences=[args.audience] if args.audience else None,
            deletion_protection=args.place.protected,
            launch_stage="BETA" if preview_feature else None,
            # At the service, not at the revision: a roll-out then keeps to these numbers for each revision.
            scaling=cloudrunv2.ServiceScalingArgs(
                min_instance_count=args.serving.min_instances, max_instance_count=args.serving.max_instances
            ),
            traffics=[cloudrunv2.ServiceTrafficArgs(type="TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent=100)],
            template=_template(args),
            labels=args.place.labels,
            # Cloud Run answers GA for a BETA feature that became GA, and the console names itself as client.
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.place.protected,
                ignore_changes=["client", "clientVersion", *(["launchStage"] if preview_feature else [])],
            ),
        )
        invokers: dict[str, pulumi.Input[str]] = {member: member for member in args.serving.invokers}
        for caller, member in (invokers | dict(args.callers)).items():
            cloudrunv2.ServiceIamMember(
                f"{name}-invoker-{re.sub(r'[^A-Za-z0-9.@-]+', '-', caller)}",
                project=args.place.project,
                location=args.place.region,
                name=service.name,
                role="roles/run.invoker",
                member=member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.url, self.name = service.uri, service.name
        self.register_outputs({"url": self.url})


_INGRESS: Final[Mapping[str, str]] = {
    "all": "ALL",
    "internal": "INTERNAL_ONLY",
    "internal-and-load-balancer": "INTERNAL_LOAD_BALANCER",
}


def _template(args: QdrantServiceArgs) -> cloudrunv2.ServiceTemplateArgs:
    disk = args.serving.disk_mib > 0
    return cloudrunv2.ServiceTemplateArgs(
        service_account=args.account,
        execution_environment="EXECUTION_ENVIRONMENT_GEN2",
        timeout=f"{args.serving.request_timeout_seconds}s",
        max_instance_request_concurrency=_CONCURRENCY,
        containers=[_container(args)],
        volumes=[
            cloudrunv2.ServiceTemplateVolumeArgs(
                name=_VOLUME,
                empty_dir=cloudrunv2.ServiceTemplateVolumeEmptyDirArgs(
                    medium="DISK" if disk else "MEMORY",
                    # In memory the limit turns a full disk into refused writes instead of a killed container.
                    size_limit=quantity(args.serving.disk_mib if disk else args.serving.memory_mib - RESERVED_MIB),
                ),
            )
        ],
        vpc_access=_vpc_access(args),
    )


def _container(args: QdrantServiceArgs) -> cloudrunv2.ServiceTemplateContainerArgs:
    plain = [
        cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
        for name, value in sorted(args.environment.items())
    ]
    secret = [
        cloudrunv2.ServiceTemplateContainerEnvArgs(
            name=name,
            value_source=cloudrunv2.ServiceTemplateContainerEnvValueSourceArgs(
                secret_key_ref=cloudrunv2.ServiceTemplateContainerEnvValueSourceSecretKeyRefArgs(
                    secret=key.secret, version=key.version
                )
            ),
        )
        for name, key in sorted(args.secrets.items())
    ]
    return cloudrunv2.ServiceTemplateContainerArgs(
        name="qdrant",
        image=args.image,
        # HTTP/2 without encryption: REST and gRPC on one port, and no 32 MiB limit on requests.
        ports=cloudrunv2.ServiceTemplateContainerPortsArgs(
            name="h2c", container_port=args.place.container.DEFAULT_PORT
        ),
        envs=[*plain, *secret],
        resources=cloudrunv2.ServiceTemplateContainerResourcesArgs(
            limits={"cpu": str(args.serving.cpu), "memory": quantity(args.serving.memory_mib)},
            # CPU outside requests too: backups, hand-overs and the engine's optimizer work there.
            cpu_idle=False,
            startup_cpu_boost=True,
        ),
        volume_mounts=[
            cloudrunv2.ServiceTemplateContainerVolumeMountArgs(name=_VOLUME, mount_path=args.place.container.DATA_DIR)
        ],
        startup_probe=cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
            http_get=cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(
                path=args.place.container.STARTUP_ROUTE, port=args.place.container.DEFAULT_AGENT_PORT
            ),
            period_seconds=_PROBE_PERIOD,
            timeout_seconds=_PROBE_TIMEOUT,
            failure_threshold=args.serving.startup_seconds // _PROBE_PERIOD,
        ),
        liveness_probe=cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
            http_get=cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(
                path=args.place.container.LIVE_ROUTE, port=args.place.container.DEFAULT_AGENT_PORT
            ),
            period_seconds=_LIVENESS_PERIOD,
            timeout_seconds=_PROBE_TIMEOUT,
            failure_threshold=_LIVENESS_FAILURES,
        ),
    )


def _vpc_access(args: QdrantServiceArgs) -> cloudrunv2.ServiceTemplateVpcAccessArgs | None:
    if not args.serving.vpc_network:
        return None
    return cloudrunv2.ServiceTemplateVpcAccessArgs(
        egress=args.serving.vpc_egress.upper().replace("-", "_"),
        network_interfaces=[
            cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs(
                network=args.serving.vpc_network, subnetwork=args.serving.vpc_subnet
            )
        ],
    )
