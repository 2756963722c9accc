"""The stack on one machine: the same image beside a bucket emulator, on the user's own Docker.

Owns the containers, their network and the volume that keeps the emulated bucket. Listens on this machine
alone, because it has no keys. Needs a Docker daemon; deliberately touches nothing of a cloud.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components.choices import ImageSource, Place, Serving
from components.sizing import RESERVED_MIB
from components.sources import digest_of_sources

_EMULATOR_IMAGE: Final = "fsouza/fake-gcs-server:1.52.2"
_EMULATOR_PORT: Final = 4443
EMULATOR_ADDRESS: Final = f"http://bucket:{_EMULATOR_PORT}"
_LOOPBACK: Final = "127.0.0.1"
# Cloud Run's own patience between SIGTERM and SIGKILL.
_GRACE_SECONDS: Final = 10
_ANYBODY_WRITES: Final = 0o1777


@dataclass(frozen=True, kw_only=True)
class LocalStackArgs:
    """What runs, with which environment, and on which ports of this machine."""

    serving: Serving
    source: ImageSource
    place: Place
    environment: Mapping[str, pulumi.Input[str]]


class LocalStack(pulumi.ComponentResource):
    """Qdrant and a bucket emulator in two containers."""

    def __init__(self, name: str, args: LocalStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:local:LocalStack", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        network = docker.Network(f"{name}-network", name=args.place.names.service, opts=child)
        joined = docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["bucket"])
        emulator = self._emulator(name, args, joined)
        served = (args.place.container.DEFAULT_PORT, args.place.container.DEFAULT_AGENT_PORT)
        docker.Container(
            f"{name}-qdrant",
            name=args.place.names.service,
            image=self._image(name, args),
            envs=[pulumi.Output.concat(name, "=", value) for name, value in sorted(args.environment.items())],
            memory=args.serving.memory_mib,
            memory_swap=args.serving.memory_mib,
            cpus=str(args.serving.cpu),
            # Memory that vanishes with the container, as on Cloud Run: what survives is what was backed up.
            mounts=[
                docker.ContainerMountArgs(
                    type="tmpfs",
                    target=args.place.container.DATA_DIR,
                    tmpfs_options=docker.ContainerMountTmpfsOptionsArgs(
                        size_bytes=(args.serving.memory_mib - RESERVED_MIB) * 1024 * 1024,
                        mode=_ANYBODY_WRITES,
                    ),
                )
            ],
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name)],
            ports=[
                docker.ContainerPortArgs(internal=inside, external=outside, ip=_LOOPBACK)
                for inside, outside in zip(served, args.serving.local_ports, strict=True)
            ],
            destroy_grace_seconds=_GRACE_SECONDS,
            restart="unless-stopped",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[emulator]),
        )
        self.register_outputs({})

    def _emulator(
        self, name: str, args: LocalStackArgs, joined: docker.ContainerNetworksAdvancedArgs
    ) -> docker.Container:
        child = pulumi.ResourceOptions(parent=self)
        volume = docker.Volume(f"{name}-objects", name=f"{args.place.names.service}-objects", opts=child)
        image = docker.RemoteImage(f"{name}-emulator-image", name=_EMULATOR_IMAGE, keep_locally=True, opts=child)
        port = str(_EMULATOR_PORT)
        # Its own address is also what it puts into the addresses of uploads.
        serving = [
            "-scheme",
            "http",
            "-port",
            port,
            "-public-host",
            f"bucket:{port}",
            "-external-url",
            EMULATOR_ADDRESS,
        ]
        return docker.Container(
            f"{name}-emulator",
            name=f"{args.place.names.service}-bucket",
            image=image.image_id,
            command=[*serving, "-backend", "filesystem", "-filesystem-root", "/storage"],
            # The emulator makes a bucket of each folder it finds in /data when it starts.
            uploads=[
                docker.ContainerUploadArgs(file=f"/data/{args.place.names.bucket}/.bucket", content="made by pulumi\n")
            ],
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/storage")],
            networks_advanced=[joined],
            restart="unless-stopped",
            opts=child,
        )

    def _image(self, name: str, args: LocalStackArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        if args.source.given:
            given = docker.RemoteImage(f"{name}-image", name=args.source.given, keep_locally=True, opts=child)
            return given.image_id
        tag = digest_of_sources(args.source)
        built = docker.RemoteImage(
            f"{name}-image",
            name=f"{args.place.names.service}:{tag}",
            build=docker.RemoteImageBuildArgs(
                context=".",
                dockerfile=args.source.dockerfile,
                build_args=args.source.build_args,
                platform="linux/amd64",
            ),
            keep_locally=True,
            opts=child,
        )
        return built.image_id
