"""Qdrant on Cloud Run, its data kept by a bucket: what `pulumi up` makes, top to bottom."""

from dataclasses import replace

import pulumi
import pulumi_gcp as gcp

from components import apis, bucket, identities, image, jobs, local, monitoring, outputs, scheduler, secrets, service
from components.config import StackConfig
from runtime import contract

config = StackConfig.load()
place, serving, plans, watch = config.place(contract), config.serving, config.jobs(contract), config.watch


def on_this_machine() -> None:
    """Declare the image beside a bucket emulator, on the user's own Docker."""
    told = contract.environment(allowed_callers="", **config.told)
    told[contract.STORAGE_EMULATOR_HOST] = local.EMULATOR_ADDRESS
    here = local.LocalStackArgs(place=place, serving=serving, source=config.source, environment=told)
    local.LocalStack("local", here)
    outputs.publish_local(config, contract)


def on_google_cloud() -> None:
    """Declare who there is, what keeps the data, what serves it, what works beside it by the clock, and who is told."""
    google: list[pulumi.ProviderResource] = [gcp.Provider("gcp", project=place.project, region=place.region)]
    used = apis.ApisArgs(place=place, extra=config.extra_apis)
    enabled = apis.Apis("apis", used, pulumi.ResourceOptions(providers=google))
    then = pulumi.ResourceOptions(providers=google, depends_on=[enabled])
    who = identities.IdentitiesArgs(place=place, wanted=config.roles, deployers=config.deployers, uptime=watch.uptime)
    people = identities.Identities("identities", who, then)
    members, emails, caller = people.members, people.emails, people.emails["scheduler"]
    kept = bucket.SnapshotBucketArgs(place=place, keeping=config.keeping, members=members)
    backups = bucket.SnapshotBucket("backups", kept, then)
    locked = secrets.SecretsArgs(place=place, keys=config.keys(contract), rotation=config.key_rotation, readers=members)
    keys = secrets.Secrets("keys", locked, then)
    packed = image.QdrantImageArgs(place=place, source=config.source, reader=members["runtime"])
    built = image.QdrantImage("image", packed, then)
    granted = pulumi.ResourceOptions(providers=google, depends_on=[people, backups, keys, built])
    served = service.QdrantServiceArgs(
        place=place,
        name=place.names.service,
        audience=place.audience,
        serving=serving,
        image=built.reference,
        account=emails["runtime"],
        environment=contract.environment(allowed_callers=caller, **config.told),
        secrets=keys.pinned["runtime"],
        callers=people.callers,
    )
    qdrant = service.QdrantService("qdrant", served, granted)
    made = {"service": qdrant.name, "bucket": backups.name, "image": built.reference}
    made["runtimeAccount"] = emails["runtime"]
    if config.reading:
        told = {**served.environment, contract.INSTANCE_ROLE: "reader"}
        read = replace(served, name=place.names.readers, audience="", serving=config.reading, environment=told)
        read = replace(read, account=emails["reader"], secrets=keys.pinned["reader"], callers={})
        made["readersUrl"] = service.QdrantService("readers", read, granted).url
    work = jobs.JobsArgs(
        place=place,
        serving=serving,
        plans=plans,
        image=built.reference,
        accounts=emails,
        environment=contract.job_environment(served.environment),
        secrets=keys.pinned,
        starter=members["scheduler"],
    )
    done = jobs.Jobs("jobs", work, granted)
    times = scheduler.SchedulesArgs(place=place, times=config.times, url=qdrant.url, starts=done.starts, caller=caller)
    scheduler.Schedules("schedule", times, then)
    if config.monitoring:
        seen = monitoring.MonitoringArgs(place=place, serving=serving, plans=plans, watch=watch, url=qdrant.url)
        monitoring.Monitoring("monitoring", seen, then)
    outputs.publish_cloud(config, contract, qdrant.url, {**made, **done.outputs})


on_this_machine() if config.environment == "local" else on_google_cloud()
