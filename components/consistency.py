"""Rules between values: what Cloud Run refuses at the end of a deployment, told before its start.

Owns the combinations; single values were read by `components.reader`. Changes nothing, decides nothing.
"""

from typing import Final

from components import regions, sizing
from components.problems import Findings
from components.values import StackValues


def check_together(config: StackValues, findings: Findings) -> None:
    """Note every combination of values that cannot work."""
    for rule in _RULES:
        rule(config, findings)


def _instance_fits_cloud_run(config: StackValues, findings: Findings) -> None:
    if findings.about("cpu") or findings.about("memory"):
        return
    limits = sizing.CLOUD_RUN_TABLE.get(config.cpu)
    if limits is None:
        allowed = ", ".join(str(cpu) for cpu in sizing.CLOUD_RUN_TABLE)
        cpu = sizing.cpu_for(config.memory_mib) or 8
        findings.add("cpu", f"Cloud Run gives {allowed} vCPUs", fix=f"pulumi config set cpu {cpu}")
    elif not limits[0] <= config.memory_mib <= limits[1]:
        low, high = (sizing.quantity(mib) for mib in limits)
        cpus = sizing.cpu_for(config.memory_mib)
        instead = f"pulumi config set cpu {cpus}, or " if cpus else ""
        nearest = high if config.memory_mib > limits[1] else low
        findings.add(
            "memory" if findings.values["memory"] != "auto" else "cpu",
            f"with {config.cpu} vCPU Cloud Run gives {low} to {high} of memory, "
            f"not {sizing.quantity(config.memory_mib)}",
            fix=f"{instead}pulumi config set memory {nearest}",
        )


def _data_fits_the_instance(config: StackValues, findings: Findings) -> None:
    if any(findings.about(key) for key in ("cpu", "memory", "disk", "data")):
        return
    if config.disk_mib and not sizing.DISK_LIMITS_MIB[0] <= config.disk_mib <= sizing.DISK_LIMITS_MIB[1]:
        low, high = (sizing.quantity(mib) for mib in sizing.DISK_LIMITS_MIB)
        findings.add("disk", f"Cloud Run gives {low} to {high}", fix="pulumi config set disk 20Gi")
        return
    fits = sizing.data_that_fits(config.memory_mib, config.disk_mib)
    if config.data_mib <= fits:
        return
    place = "its disk" if config.disk_mib else "memory"
    larger = sizing.smallest_for(config.data_mib)
    advice = f"pulumi config set disk {sizing.quantity(-(-config.data_mib * 2 // 1024) * 1024)}"
    if not config.disk_mib and larger:
        memory = sizing.quantity(larger.memory_mib)
        advice = f"pulumi config set memory {memory} with cpu {larger.cpu}, or {advice}"
    if not config.disk_mib and larger is None:
        advice = f"more than one instance of Cloud Run can keep in memory; {advice}"
    if config.disk_mib:
        advice = f"a larger disk (twice the data) and memory of a quarter of the data; {advice}"
    findings.add(
        "data",
        f"{sizing.quantity(config.memory_mib)} of memory hold {sizing.quantity(fits)} of data in {place}: "
        f"it is there twice while the engine optimizes, and the programs need {sizing.RESERVED_MIB} MiB",
        fix=advice,
    )


def _readers_are_some(config: StackValues, findings: Findings) -> None:
    if not config.readers and not findings.about("readers"):
        for key in ("minReaders", "readerSize", "readerInvokers"):
            if findings.values[key] not in ("", "auto") and not findings.about(key):
                findings.add(key, "with readers = 0 there are none", fix="pulumi config set readers 2")
        return
    if config.min_readers > config.readers and not findings.about("minReaders"):
        findings.add(
            "minReaders",
            f"more than the {config.readers} that readers allows",
            fix=f"pulumi config set minReaders {config.readers}",
        )
    if any(findings.about(key) for key in ("cpu", "memory", "disk", "data", "readerSize")):
        return
    fits = sizing.data_that_fits(config.reader_memory_mib, config.disk_mib)
    if config.readers and config.data_mib > fits:
        findings.add(
            "readerSize",
            f"each reader holds all of the data, {sizing.quantity(config.data_mib)}, and this size "
            f"{sizing.quantity(fits)}",
            fix="pulumi config rm readerSize, or pulumi config set data with what you expect",
        )


def _source_is_one(config: StackValues, findings: Findings) -> None:
    if config.sync_source_key and not config.sync_source and not findings.about("syncSource"):
        findings.add(
            "syncSourceKey",
            "the key of no source",
            fix="pulumi config set syncSource https://HOST:6333",
        )


def _schedule_ends_in_time(config: StackValues, findings: Findings) -> None:
    if findings.about("snapshotDeadlineSeconds") or findings.about("requestTimeoutSeconds"):
        return
    if config.snapshot_deadline_seconds > config.request_timeout_seconds:
        findings.add(
            "snapshotDeadlineSeconds",
            f"a scheduled backup would be cut by requestTimeoutSeconds = {config.request_timeout_seconds}",
            fix=f"pulumi config set requestTimeoutSeconds {config.snapshot_deadline_seconds}",
        )


def _somebody_guards_the_door(config: StackValues, findings: Findings) -> None:
    if config.public and not config.api_keys:
        findings.add("public", "with apiKeys = false anybody could read and delete", fix="pulumi config rm apiKeys")
    elif config.environment == "prod" and not config.api_keys:
        findings.add("apiKeys", "production is never without a key", fix="pulumi config rm apiKeys")
    if config.public and config.invokers:
        findings.add("invokers", "public = true lets everybody call, these as well", fix="pulumi config rm invokers")
    for key in ("apiKey", "readOnlyApiKey"):
        if findings.values[key] and not config.api_keys:
            findings.add(key, "not used with apiKeys = false", fix=f"pulumi config rm {key}")
    if findings.values["apiKey"] and findings.values["apiKey"] == findings.values["readOnlyApiKey"]:
        findings.add(
            "readOnlyApiKey",
            "is the same as apiKey, so it could write",
            fix="pulumi config set --secret readOnlyApiKey",
        )


def _network_is_whole(config: StackValues, findings: Findings) -> None:
    for key, value, other in (
        ("vpcSubnet", config.vpc_network, config.vpc_subnet),
        ("vpcNetwork", config.vpc_subnet, config.vpc_network),
    ):
        if value and not other:
            findings.add(
                key,
                f"network and subnet are needed together, {value} is alone",
                fix=f"pulumi config set {key} NAME",
            )
    if config.vpc_egress == "all-traffic" and not config.vpc_network:
        findings.add("vpcEgress", "there is no network to send it through", fix="pulumi config set vpcNetwork NAME")


def _image_is_one_thing(config: StackValues, findings: Findings) -> None:
    if config.image.partition("@")[0].partition(":")[0].endswith("qdrant/qdrant"):
        findings.add(
            "image",
            "the official image is the engine alone and would lose its data",
            fix="pulumi config rm image, and pulumi config set qdrantImage with this value",
        )
    for key, value in (("qdrantImage", config.qdrant_image), ("baseImage", config.base_image)):
        if value and config.image:
            findings.add(key, "nothing is built when image is given", fix=f"pulumi config rm {key}")


def _bucket_is_possible(config: StackValues, findings: Findings) -> None:
    if 0 < config.soft_delete_days < 7:
        findings.add("softDeleteDays", "Cloud Storage takes 0 or 7 to 90", fix="pulumi config set softDeleteDays 7")
    if findings.about("region") or findings.about("secondRegion"):
        return
    location = config.region
    if config.second_region:
        home, other = regions.continent(config.region), regions.continent(config.second_region)
        if home is None or home != other or config.region == config.second_region:
            findings.add(
                "secondRegion",
                f"{config.region} and {config.second_region} are not a pair that Cloud Storage offers",
                fix="pulumi config set secondRegion with another region of the same continent",
            )
            return
        location = home.lower()
    if config.kms_key and not findings.about("kmsKey") and f"/locations/{location}/" not in config.kms_key:
        findings.add("kmsKey", "a bucket's key must be where the bucket is", fix=f"a key in locations/{location}")


def _somebody_is_told(config: StackValues, findings: Findings) -> None:
    if config.alert_emails and not config.monitoring and not findings.about("alertEmails"):
        findings.add(
            "alertEmails",
            "with monitoring = false there are no alerts",
            fix="pulumi config set monitoring true",
        )


def _ports_differ(config: StackValues, findings: Findings) -> None:
    if config.local_port == config.local_agent_port:
        port = config.local_port + 1 if config.local_port < 65535 else 8081
        findings.add("localAgentPort", "is localPort too", fix=f"pulumi config set localAgentPort {port}")


_RULES: Final = (
    _instance_fits_cloud_run,
    _data_fits_the_instance,
    _readers_are_some,
    _source_is_one,
    _schedule_ends_in_time,
    _somebody_guards_the_door,
    _network_is_whole,
    _image_is_one_thing,
    _bucket_is_possible,
    _somebody_is_told,
    _ports_differ,
)
