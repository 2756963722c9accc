"""What is wrong between variables of the environment that are each well written.

Owns these rules and what to do about each. Values that could not be read are absent and break no rule.
"""

from collections.abc import Mapping
from typing import Any

from runtime import contract
from runtime.setting_forms import BUCKET


def conflicts(values: Mapping[str, Any], environment: Mapping[str, str], *, serves: bool) -> list[str]:
    """Return what is wrong between variables; those that failed alone are absent from `values`.

    `serves`: whether clients will be let in, who need a key in production.
    """
    problems = [*_bucket_problems(values), *_port_problems(values)]
    if values.get("runtime_environment") == "production":
        problems += _production_problems(values, serves=serves)
    quiet, age = values.get("backup_quiet_seconds"), values.get("backup_max_age_seconds")
    if quiet is not None and age is not None and quiet > age:
        problems.append(f"BACKUP_QUIET_SECONDS: {quiet:g} is more than BACKUP_MAX_AGE_SECONDS, {age:g}: lower it")
    read_only = values.get("read_only_api_key")
    if read_only and read_only == values.get("api_key"):
        problems.append("QDRANT_READ_ONLY_API_KEY: is the same as QDRANT_API_KEY: it would allow writes; make another")
    if read_only and "api_key" in values and not values["api_key"]:
        problems.append("QDRANT_API_KEY: is missing while QDRANT_READ_ONLY_API_KEY is set: set both, or neither")
    if (
        values.get("allowed_callers")
        and values.get("service_access") == "public"
        and values.get("caller_audiences") == ()
    ):
        problems.append(
            "CALLER_AUDIENCES: is missing while ALLOWED_CALLERS is set: set the service's URL, or "
            "SERVICE_ACCESS=private where Cloud Run checks every caller"
        )
    if values.get("durability") == "journal" and values.get("store_outage") == "accept":
        problems.append(
            "STORE_OUTAGE: `accept` acknowledges what the bucket does not hold, which DURABILITY=journal rules out: "
            "set DURABILITY=snapshot, or STORE_OUTAGE=refuse"
        )
    problems += [
        f"{name}: is set by the runtime: use {ours} instead"
        for name, ours in _OWNED_BY_THE_RUNTIME.items()
        if name in environment
    ]
    return problems


def _bucket_problems(values: Mapping[str, Any]) -> list[str]:
    url, bucket = values.get("backup_url", "?"), values.get("bucket_name")
    if not url and not bucket:
        return ["BACKUP_URL: is missing: set gs://BUCKET/PREFIX, or file:///DIRECTORY on one machine"]
    if not url and bucket and not BUCKET.fullmatch(bucket):
        return [f"GCS_BUCKET_NAME: {bucket!r} is wrong: must be a bucket's name, without gs:// and slashes"]
    return []


def _port_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    taken: dict[int, str] = {}
    for name in ("port", "agent_port", "qdrant_http_port", "qdrant_grpc_port"):
        port = values.get(name)
        if port in taken:
            problems.append(f"{name.upper()}: {port} is taken by {taken[port]} already: choose another")
        elif port is not None:
            taken[port] = name.upper()
    return problems


def _production_problems(values: Mapping[str, Any], *, serves: bool) -> list[str]:
    problems = []
    if values.get("emulator_host"):
        problems.append("STORAGE_EMULATOR_HOST: is set in production: unset it, or use RUNTIME_ENVIRONMENT=development")
    if serves and "api_key" in values and not values["api_key"]:
        problems.append("QDRANT_API_KEY: is missing in production: set it from Secret Manager")
    if (values.get("backup_url") or "").startswith("file:"):
        problems.append("BACKUP_URL: a directory is lost with the container in production: use gs://BUCKET/PREFIX")
    return problems


_OWNED_BY_THE_RUNTIME: Mapping[str, str] = {
    "QDRANT__SERVICE__HTTP_PORT": contract.QDRANT_HTTP_PORT,
    "QDRANT__SERVICE__GRPC_PORT": contract.QDRANT_GRPC_PORT,
    "QDRANT__STORAGE__STORAGE_PATH": contract.QDRANT_STORAGE_DIR,
    "QDRANT__SERVICE__API_KEY": contract.QDRANT_API_KEY,
    "QDRANT__SERVICE__READ_ONLY_API_KEY": contract.QDRANT_READ_ONLY_API_KEY,
}
