"""Configurations of stacks, as a user's `pulumi config set` leaves them."""

from collections.abc import Mapping
from typing import Final

from components import delivery_config
from components.config import StackConfig
from components.keys import PROJECT_NAME

DEV: Final[Mapping[str, str]] = {
    "project": "acme-search",
    "region": "europe-west1",
    "size": "small",
    "environment": "dev",
}
PROD: Final[Mapping[str, str]] = {
    **DEV,
    "size": "medium",
    "environment": "prod",
    "alertEmails": "ops@acme.example",
    "deployers": "qdrant-deploy@acme-search.iam.gserviceaccount.com",
    "invokers": "serviceAccount:app@acme-search.iam.gserviceaccount.com",
    "readers": "3",
    "readerInvokers": "serviceAccount:search@acme-search.iam.gserviceaccount.com",
    "syncSource": "https://source.acme.example:6333",
    "syncSourceKey": "the-key-of-the-source-cluster",
}
SECRETS: Final = frozenset({"apiKey", "readOnlyApiKey", "syncSourceKey"})
DELIVERY: Final[Mapping[str, str]] = {
    f"{delivery_config.PROJECT_NAME}:{key}": value
    for key, value in {
        "project": "acme-search",
        "region": "europe-west1",
        "githubOwnerId": "1234",
        "githubRepositoryId": "56789",
    }.items()
}
LOCAL: Final[Mapping[str, str]] = {"environment": "local"}


def namespaced(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values under the project's name, as the engine hands them over."""
    return {key if ":" in key else f"{PROJECT_NAME}:{key}": value for key, value in values.items()}


def parse(
    values: Mapping[str, str],
    *,
    stack: str = "dev",
    secret: frozenset[str] = SECRETS,
) -> StackConfig:
    """Parse values as the configuration of a stack."""
    return StackConfig.parse(namespaced(values), stack=stack, secret_keys=secret)
