"""Qdrant on Cloud Run, its data kept by a bucket: what `pulumi up` makes, top to bottom."""

import pulumi
import pulumi_gcp as gcp

from components import (
    apis,
    bucket,
    identities,
    image,
    local,
    monitoring,
    outputs,
    scheduler,
    secrets,
    service,
)
from components.config import StackConfig
from runtime import contract

config = StackConfig.load()
place, serving, watch = config.place(contract), config.serving, config.watch


def on_this_machine() -> None:
    """Declare the image beside a bucket emulator, on the user's own Docker."""
    told = contract.environment(allowed_callers="", **config.told)
    told[contract.STORAGE_EMULATOR_HOST] = local.EMULATOR_ADDRESS
    here = local.LocalStackArgs(place=place, serving=serving, source=config.source, environment=told)
    local.LocalStack("local", here)
    outputs.publish_local(config, contract)


def on_google_cloud() -> None:
    """Declare who there is, what keeps the data, what serves it, what asks for backups, and who is told."""
    google: list[pulumi.ProviderResource] = [gcp.Provider("gcp", project=place.project, region=place.region)]
    used = apis.ApisArgs(place=place, extra=config.extra_apis)
    enabled = apis.Apis("apis", used, pulumi.ResourceOptions(providers=google))
    then = pulumi.ResourceOptions(providers=google, depends_on=[enabled])

    who = identities.IdentitiesArgs(place=place, deployers=config.deployers, uptime=watch.uptime)
    people = identities.Identities("identities", who, then)
    runtime, caller = people.members["runtime"], people.emails["scheduler"]

    kept = bucket.SnapshotBucketArgs(place=place, keeping=config.keeping, members=people.members)
    backups = bucket.SnapshotBucket("backups", kept, then)

    given = {contract.QDRANT_API_KEY: config.api_key, contract.QDRANT_READ_ONLY_API_KEY: config.reader_key}
    locks = given if config.api_keys else {}
    locked = secrets.SecretsArgs(place=place, given=locks, rotation=config.key_rotation, reader=runtime)
    keys = secrets.Secrets("keys", locked, then)

    packed = image.QdrantImageArgs(place=place, source=config.source, reader=runtime)
    built = image.QdrantImage("image", packed, then)

    granted = pulumi.ResourceOptions(providers=google, depends_on=[people, backups, keys, built])
    served = service.QdrantServiceArgs(
        place=place,
        serving=serving,
        image=built.reference,
        account=people.emails["runtime"],
        environment=contract.environment(allowed_callers=caller, **config.told),
        secrets=keys.pinned,
        callers=people.callers,
    )
    qdrant = service.QdrantService("qdrant", served, granted)

    times = scheduler.SnapshotScheduleArgs(place=place, times=config.times, url=qdrant.url, caller=caller)
    scheduler.SnapshotSchedule("schedule", times, then)

    if config.monitoring:
        seen = monitoring.MonitoringArgs(place=place, serving=serving, watch=watch, url=qdrant.url)
        monitoring.Monitoring("monitoring", seen, then)
    made = {"service": qdrant.name, "bucket": backups.name, "image": built.reference}
    made["runtimeAccount"] = people.emails["runtime"]
    outputs.publish_cloud(config, contract, qdrant.url, made)


on_this_machine() if config.environment == "local" else on_google_cloud()
