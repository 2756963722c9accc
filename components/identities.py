"""The service accounts of a stack.

Owns who there is. Deliberately grants nothing but acting as them: what an account may do is granted beside
the thing it may do it to (bucket, secrets, service). Makes no keys: accounts are attached or impersonated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import projects, serviceaccount

from components.choices import Place

_PURPOSES: Final[Mapping[str, str]] = {
    "runtime": "Runs Qdrant: reads and adds backups, replaces HEAD, deletes nothing",
    "scheduler": "Calls the service to ask for a backup",
    "prune": "Deletes backups that retention no longer keeps",
    "verify": "Reads backups and records what a verification found",
}
_DELIVERY: Final[Mapping[str, str]] = {
    "preview": "Previews pull requests",
    "deploy": "Deploys from the main branch",
}
# A deployment attaches these two; the jobs' accounts are attached by whoever adds the jobs.
_ATTACHED: Final = ("runtime", "scheduler")


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Whether preview and deploy accounts are wanted, and Cloud Monitoring's caller."""

    place: Place
    delivery: bool
    uptime: bool


class Identities(pulumi.ComponentResource):
    """Service accounts by role; `callers` are those that call the service."""

    emails: Mapping[str, pulumi.Output[str]]
    members: Mapping[str, pulumi.Output[str]]
    callers: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:project:Identities", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        purposes = {**_PURPOSES, **(_DELIVERY if args.delivery else {})}
        accounts = {
            role: serviceaccount.Account(
                f"{name}-{role}",
                project=args.place.project,
                account_id=args.place.names.account(role),
                display_name=f"Qdrant {role}",
                description=purpose,
                opts=child,
            )
            for role, purpose in purposes.items()
        }
        self.emails = {role: account.email for role, account in accounts.items()}
        self.members = {role: account.member for role, account in accounts.items()}
        self.callers = {"scheduler": self.members["scheduler"]}
        if args.uptime:
            agent = projects.ServiceIdentity(
                f"{name}-uptime", project=args.place.project, service="monitoring.googleapis.com", opts=child
            )
            self.callers = {**self.callers, "uptime": agent.member}
        if args.delivery:
            for role in _ATTACHED:
                serviceaccount.IAMMember(
                    f"{name}-deploy-as-{role}",
                    service_account_id=accounts[role].name,
                    role="roles/iam.serviceAccountUser",
                    member=self.members["deploy"],
                    opts=child,
                )
        self.register_outputs({"emails": self.emails})
