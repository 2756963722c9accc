"""Every configuration key of a stack: its default and what it means.

One table, read by `components.config`, and the source of two texts that tests hold equal to it: the schema
in `Pulumi.yaml` and the tables in `docs/configuration.md`. Owns no rule about values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

AUTO: Final = "auto"
OFF: Final = "off"


@dataclass(frozen=True)
class Option:
    """One key; a default of `auto` is decided by the environment or the size."""

    name: str
    default: str
    description: str
    secret: bool = False


SECTIONS: Final[dict[str, tuple[Option, ...]]] = {
    "Where and how big": (
        Option("project", "", "Google Cloud project id (not its number). Required; `gcp:project` is read too."),
        Option("region", "", "Cloud Run region, such as europe-west1. Required; `gcp:region` is read too."),
        Option("size", "small", "small, medium, large or xlarge: CPU, memory and the data that fits."),
        Option(
            "environment",
            AUTO,
            "dev (scales to zero, easily destroyed), prod (always on, protected, monitored) or local "
            "(your own Docker, no cloud). auto: the stack's name, where it is one of these.",
        ),
        Option("name", AUTO, "Base of every resource's name, at most 20 characters. auto: qdrant-STACK."),
        Option("protected", AUTO, "true: nothing stateful can be deleted. auto: true in prod."),
    ),
    "The instance": (
        Option("cpu", AUTO, "vCPUs: 1, 2, 4, 6 or 8. auto: from the size."),
        Option("memory", AUTO, "Memory, such as 8Gi; without `disk` it holds the data too. auto: from the size."),
        Option("disk", "0", "Ephemeral disk for the data (a Cloud Run preview), 1Gi to 100Gi; 0: in memory."),
        Option("data", AUTO, "Data you expect, such as 3Gi; checked against memory or disk. auto: what fits."),
        Option("minInstances", AUTO, "0 (scales to zero when idle) or 1. auto: 1 in prod."),
        Option(
            "startupSeconds",
            "240",
            "How long the container may take to answer its start-up probe, 10 to 240.",
        ),
        Option("requestTimeoutSeconds", "900", "Longest request, 1 to 3600."),
        Option("logLevel", "info", "debug, info, warning or error."),
    ),
    "Access": (
        Option("public", "false", "true: reachable without Google identity; the API key is the only lock."),
        Option("invokers", "", "Who may call a private service: IAM members, comma-separated."),
        Option("ingress", "all", "all, internal, or internal-and-load-balancer."),
        Option("apiKeys", "true", "false: no API keys, IAM alone decides. Only in dev, never with public."),
        Option("apiKey", "", "Your own API key instead of a generated one (`--secret`).", secret=True),
        Option(
            "readOnlyApiKey",
            "",
            "Your own read-only key instead of a generated one (`--secret`).",
            secret=True,
        ),
        Option("keyRotation", "1", "Raise by one to have new keys generated, or a changed key of yours stored."),
        Option("vpcNetwork", "", "VPC network for direct egress."),
        Option("vpcSubnet", "", "Its subnet, /26 or larger."),
        Option("vpcEgress", "private-ranges-only", "private-ranges-only or all-traffic (needs Cloud NAT)."),
        Option(
            "deployers",
            "",
            "Service accounts that deploy this stack, comma-separated: they may attach its accounts. docs/delivery.md "
            "tells of one that needs no key.",
        ),
    ),
    "Image": (
        Option(
            "image",
            "",
            "A ready image by digest (HOST/NAME@sha256:…); from another registry than Google's or Docker Hub "
            "it is pulled through a remote repository. Empty: built from this folder.",
        ),
        Option("qdrantImage", "", "Official Qdrant image by digest for the build. Empty: the Dockerfile's own."),
        Option("baseImage", "", "Debian slim image for the build. Empty: the Dockerfile's own."),
    ),
    "Backups": (
        Option("backupPrefix", "qdrant", "Folder of the backups in the bucket."),
        Option("collections", "", "Collections to keep, comma-separated. Empty: all."),
        Option("backupMaxAgeSeconds", "60", "How old the oldest unsaved write may get, 5 to 3600."),
        Option(
            "durability",
            "journal",
            "journal: a write is acknowledged when the bucket holds it; snapshot: when Qdrant does, and a crash loses "
            "what no backup has.",
        ),
        Option("restorePolicy", "if-exists", "if-exists, required (never start empty) or never."),
        Option(
            "snapshotSchedule",
            "0 */6 * * *",
            "Cron of the scheduled backup, a floor under the continuous ones; off: none.",
        ),
        Option("timeZone", "Etc/UTC", "Time zone of the schedules."),
        Option("schedulerRegion", AUTO, "Region of the Cloud Scheduler jobs. auto: the region."),
        Option("snapshotDeadlineSeconds", "900", "How long a scheduled backup may take, 15 to 1800."),
        Option("snapshotRetries", "3", "Further attempts when a scheduled call fails, 0 to 5."),
        Option("secondRegion", "", "Keeps the bucket in two regions of one continent."),
        Option("oldVersionDays", "14", "Days that overwritten or pruned objects stay, 1 to 365."),
        Option("softDeleteDays", "7", "Days that deleted objects can be brought back: 0, or 7 to 90."),
        Option("kmsKey", "", "Cloud KMS key for the bucket: projects/…/cryptoKeys/….  Empty: Google's."),
    ),
    "Jobs": (
        Option(
            "drillSchedule",
            "0 3 * * *",
            "Cron of the drill: the newest backup is restored into an engine of its own and compared; off: by hand.",
        ),
        Option("pruneSchedule", "30 4 * * *", "Cron of deleting the backups that nothing keeps; off: by hand."),
        Option("keepLast", "10", "Pruning keeps the newest so many backups, 1 to 1000."),
        Option("keepHourly", "24", "And the newest of each of so many hours, 0 to 1000."),
        Option("keepDaily", "7", "And the newest of each of so many days, 0 to 1000."),
        Option("keepWeekly", "4", "And the newest of each of so many weeks, 0 to 1000."),
        Option("syncSource", "", "A Qdrant whose data is pulled into the bucket, https://HOST:6333. Empty: none."),
        Option("syncSourceKey", "", "Its API key (`--secret`); one that may read is enough.", secret=True),
        Option("syncSchedule", "0 1 * * *", "Cron of the pull; off: by hand."),
    ),
    "Readers": (
        Option("readers", "0", "Instances that only search, at most so many, 0 to 100; each holds all of the data."),
        Option("minReaders", AUTO, "How many of them always run. auto: 1 in prod."),
        Option("readerSize", AUTO, "small, medium, large or xlarge. auto: as large as the instance."),
        Option("readerInvokers", "", "Who may call the readers beside `invokers`: IAM members, comma-separated."),
    ),
    "Monitoring": (
        Option("monitoring", AUTO, "true: metrics, dashboard and alerts. auto: true in prod."),
        Option("alertEmails", "", "Who is told, comma-separated."),
        Option(
            "docsUrl",
            "",
            "Where you publish the site that `make docs` builds: alerts then link to their runbooks there. "
            "Empty: they name the page in this repository.",
        ),
    ),
    "On your own machine": (
        Option("localPort", "8080", "Port of Qdrant on this machine (environment local)."),
        Option("localAgentPort", "8081", "Port of the agent on this machine (environment local)."),
    ),
}

# What people know from Cloud Run and look for here, with the reason why it is not a choice.
NOT_A_CHOICE: Final[dict[str, str]] = {
    "billing": (
        "CPU is billed by instance: billed by request, an idle instance is frozen and its backups and "
        "hand-overs would not run, whatever minInstances is. To pay less, set minInstances to 0"
    ),
    "maxInstances": "one instance writes; a second one would only answer that it does not",
    "concurrency": "there is no second instance to spread requests over: one takes all that Cloud Run allows",
    "apiToken": "the key is called apiKey",
}
NOT_A_CHOICE["cpuIdle"] = NOT_A_CHOICE["requestBilling"] = NOT_A_CHOICE["billing"]


def every_option() -> tuple[Option, ...]:
    """Return the options of all sections."""
    return tuple(option for options in SECTIONS.values() for option in options)


def pulumi_schema(options: Iterable[Option]) -> dict[str, dict[str, str]]:
    """Return the `config` section of Pulumi.yaml.

    Every key is a string with a default: the engine stops at the first value that has another type, or at
    the missing ones, or one in clear, and tells no fix, whereas `StackConfig` tells all problems with theirs.
    """
    return {
        option.name: {"type": "string", "default": option.default, "description": option.description}
        for option in options
    }
