"""The jobs beside the service: the drill, pruning, and pulling from another Qdrant.

Owns the Cloud Run jobs and who may start them. They run the service's own image, one task at a time, each as an
account of its own. When they run is `components.scheduler`'s matter, which of them there are `components.batch`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import cloudrunv2

from components.choices import JobPlan, Place, Serving
from components.pinned import PinnedSecret
from components.sizing import quantity

_VOLUME: Final = "scratch"


@dataclass(frozen=True, kw_only=True)
class JobsArgs:
    """What runs as whom, what it is told, and who starts it; accounts and secrets by role."""

    place: Place
    serving: Serving
    plans: Sequence[JobPlan]
    image: pulumi.Input[str]
    accounts: Mapping[str, pulumi.Output[str]]
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, Mapping[str, PinnedSecret]]
    starter: pulumi.Input[str]


class Jobs(pulumi.ComponentResource):
    """Cloud Run jobs; `starts` is where a POST starts one, by role, `outputs` their names for a stack's outputs."""

    outputs: Mapping[str, pulumi.Output[str]]
    starts: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: JobsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:run:Jobs", name, None, opts)
        place = args.place
        jobs = {plan.role: self._job(name, plan, args) for plan in args.plans}
        for role, job in jobs.items():
            cloudrunv2.JobIamMember(
                f"{name}-{role}-starter",
                project=place.project,
                location=place.region,
                name=job.name,
                role="roles/run.invoker",
                member=args.starter,
                opts=pulumi.ResourceOptions(parent=self),
            )
        folder = f"https://run.googleapis.com/v2/projects/{place.project}/locations/{place.region}/jobs"
        self.outputs = {f"{role}Job": job.name for role, job in jobs.items()}
        self.starts = {role: pulumi.Output.concat(folder, "/", job.name, ":run") for role, job in jobs.items()}
        self.register_outputs({**self.outputs})

    def _job(self, name: str, plan: JobPlan, args: JobsArgs) -> cloudrunv2.Job:
        preview_feature = bool(plan.disk_mib)
        return cloudrunv2.Job(
            f"{name}-{plan.role}",
            name=args.place.names.job(plan.role),
            project=args.place.project,
            location=args.place.region,
            # A job holds nothing; what it works on is in the bucket.
            deletion_protection=False,
            launch_stage="BETA" if preview_feature else None,
            template=cloudrunv2.JobTemplateArgs(
                task_count=1,
                parallelism=1,
                labels=args.place.labels,
                template=_task(plan, args),
            ),
            labels=args.place.labels,
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=["client", "clientVersion", *(["launchStage"] if preview_feature else [])],
            ),
        )


def _task(plan: JobPlan, args: JobsArgs) -> cloudrunv2.JobTemplateTemplateArgs:
    scratch = cloudrunv2.JobTemplateTemplateVolumeArgs(
        name=_VOLUME,
        empty_dir=cloudrunv2.JobTemplateTemplateVolumeEmptyDirArgs(
            medium="DISK" if plan.disk_mib else "MEMORY", size_limit=quantity(plan.scratch_mib)
        ),
    )
    return cloudrunv2.JobTemplateTemplateArgs(
        service_account=args.accounts[plan.role],
        execution_environment="EXECUTION_ENVIRONMENT_GEN2",
        timeout=f"{plan.timeout_seconds}s",
        max_retries=plan.retries,
        containers=[_container(plan, args)],
        volumes=[scratch] if plan.scratch_mib else None,
        vpc_access=_vpc_access(args.serving),
    )


def _container(plan: JobPlan, args: JobsArgs) -> cloudrunv2.JobTemplateTemplateContainerArgs:
    plain = {**args.environment, **plan.variables}
    envs = [
        cloudrunv2.JobTemplateTemplateContainerEnvArgs(name=name, value=value) for name, value in sorted(plain.items())
    ]
    secret = [
        cloudrunv2.JobTemplateTemplateContainerEnvArgs(
            name=name,
            value_source=cloudrunv2.JobTemplateTemplateContainerEnvValueSourceArgs(
                secret_key_ref=cloudrunv2.JobTemplateTemplateContainerEnvValueSourceSecretKeyRefArgs(
                    secret=key.secret, version=key.version
                )
            ),
        )
        for name, key in sorted(args.secrets.get(plan.role, {}).items())
    ]
    mount = cloudrunv2.JobTemplateTemplateContainerVolumeMountArgs(
        name=_VOLUME, mount_path=args.place.container.DATA_DIR
    )
    return cloudrunv2.JobTemplateTemplateContainerArgs(
        name="qdrant",
        image=args.image,
        # The image's own entry point takes the command: `python -m runtime …`.
        args=list(plan.command),
        envs=[*envs, *secret],
        resources=cloudrunv2.JobTemplateTemplateContainerResourcesArgs(
            limits={"cpu": str(plan.cpu), "memory": quantity(plan.memory_mib)}
        ),
        volume_mounts=[mount] if plan.scratch_mib else None,
    )


def _vpc_access(serving: Serving) -> cloudrunv2.JobTemplateTemplateVpcAccessArgs | None:
    if not serving.vpc_network:
        return None
    return cloudrunv2.JobTemplateTemplateVpcAccessArgs(
        egress=serving.vpc_egress.upper().replace("-", "_"),
        network_interfaces=[
            cloudrunv2.JobTemplateTemplateVpcAccessNetworkInterfaceArgs(
                network=serving.vpc_network, subnetwork=serving.vpc_subnet
            )
        ],
    )
