"""The service accounts of a stack.

Owns who there is. Deliberately grants nothing but acting as them: what an account may do is granted beside
the thing it may do it to (bucket, secrets, service). Makes no keys: accounts are attached or impersonated.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import projects, serviceaccount

from components.choices import Place

# Accounts that a deployment attaches to something that runs.
_ATTACHED: Final[Mapping[str, str]] = {
    "runtime": "Runs Qdrant: reads and adds backups, replaces HEAD, deletes nothing",
    "scheduler": "Calls the service to ask for a backup, and starts the jobs",
    "prune": "Deletes backups that retention no longer keeps",
    "verify": "Reads backups and records what a verification found",
}
_ATTACHED_IF_WANTED: Final[Mapping[str, str]] = {
    "sync": "Pulls from another Qdrant: reads and adds backups, replaces HEAD, deletes no backup",
    "reader": "Runs readers: reads backups and nothing else",
}


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Which roles are wanted beside those that every stack has, who deploys, and whether Cloud Monitoring calls.

    `deployers` are mail addresses of service accounts.
    """

    place: Place
    wanted: Sequence[str]
    deployers: Sequence[str]
    uptime: bool


class Identities(pulumi.ComponentResource):
    """Service accounts by role; `callers` are those that call the service."""

    emails: Mapping[str, pulumi.Output[str]]
    members: Mapping[str, pulumi.Output[str]]
    callers: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:project:Identities", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        purposes = {**_ATTACHED, **{role: _ATTACHED_IF_WANTED[role] for role in args.wanted}}
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
        for deployer, role in itertools.product(args.deployers, accounts):
            serviceaccount.IAMMember(
                f"{name}-{role}-attached-by-{deployer}",
                service_account_id=accounts[role].name,
                role="roles/iam.serviceAccountUser",
                member=f"serviceAccount:{deployer}",
                opts=child,
            )
        self.register_outputs({"emails": self.emails})
