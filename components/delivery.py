"""Who may deliver: GitHub's workflows as Google accounts, without a key anywhere.

Owns the trust in GitHub's tokens, the preview and the deploy account, who becomes which, and what each may do in
the project. What they may do to the state and to the images is granted beside those. Used by the bootstrap program
alone: a stack does not make the account that deploys it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import iam, projects, serviceaccount

from components.choices import Place

ISSUER: Final = "https://token.actions.githubusercontent.com"
MAIN: Final = "refs/heads/main"
_NOWHERE: Final = "nowhere"

# What reading back a deployed stack asks for, and no content: neither objects, nor keys, nor logs.
PREVIEW_MAY: Final = (
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.getIamPolicy",
    "cloudscheduler.jobs.get",
    "iam.roles.get",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "logging.logMetrics.get",
    "monitoring.alertPolicies.get",
    "monitoring.dashboards.get",
    "monitoring.notificationChannels.get",
    "monitoring.uptimeCheckConfigs.get",
    "resourcemanager.projects.get",
    "run.jobs.get",
    "run.jobs.getIamPolicy",
    "run.services.get",
    "run.services.getIamPolicy",
    "secretmanager.secrets.get",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.versions.get",
    "serviceusage.services.get",
    "serviceusage.services.list",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
)
# Buckets without their objects: a deployment makes the bucket of backups and reads no backup. Custom roles without
# updating them: whoever may widen a role that it has itself may do anything.
DEPLOY_MAY: Final = (
    *(f"iam.roles.{verb}" for verb in ("create", "delete", "get", "list", "undelete")),
    *(f"storage.buckets.{verb}" for verb in ("create", "delete", "get", "getIamPolicy", "setIamPolicy", "update")),
)
DEPLOY_ROLES: Final = (
    "roles/artifactregistry.admin",
    "roles/cloudscheduler.admin",
    "roles/iam.serviceAccountAdmin",
    "roles/logging.configWriter",
    "roles/logging.logWriter",
    "roles/logging.viewer",
    "roles/monitoring.editor",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
)


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    """The repository by GitHub's numbers, and its environments from whose jobs a stack is deployed."""

    place: Place
    owner_id: str
    repository_id: str
    environments: Sequence[str]


class Delivery(pulumi.ComponentResource):
    """Accounts that workflows of one repository become; `emails` and `members` by role, preview and deploy."""

    provider: pulumi.Output[str]
    emails: Mapping[str, pulumi.Output[str]]
    members: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:project:Delivery", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        accounts = {
            "preview": self._account("preview", "Previews pull requests and looks for drift: reads, changes nothing"),
            "deploy": self._account("deploy", "Deploys from the main branch, within a GitHub environment"),
        }
        self.emails = {role: account.email for role, account in accounts.items()}
        self.members = {role: account.member for role, account in accounts.items()}
        self._let_in(accounts)
        self._grant()
        serviceaccount.IAMMember(
            f"{name}-deploy-identifies-itself",
            service_account_id=accounts["deploy"].name,
            # Cloud Run wants an identity token of whoever verifies a private service; GitHub's is not one.
            role="roles/iam.serviceAccountOpenIdTokenCreator",
            member=self.members["deploy"],
            opts=self._child,
        )
        self.register_outputs({"provider": self.provider, "emails": self.emails})

    def _account(self, role: str, purpose: str) -> serviceaccount.Account:
        return serviceaccount.Account(
            f"{self._name}-{role}",
            project=self._args.place.project,
            account_id=self._args.place.names.account(role),
            display_name=f"Qdrant {role}",
            description=purpose,
            opts=self._child,
        )

    def _let_in(self, accounts: Mapping[str, serviceaccount.Account]) -> None:
        """Trust the repository's tokens; say which of them become which account."""
        args = self._args
        pool = iam.WorkloadIdentityPool(
            f"{self._name}-pool",
            project=args.place.project,
            workload_identity_pool_id=args.place.names.account("github"),
            display_name="GitHub Actions",
            description="Workflows of the repository that delivers Qdrant",
            opts=self._child,
        )
        provider = iam.WorkloadIdentityPoolProvider(
            f"{self._name}-provider",
            project=args.place.project,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id="github",
            display_name="GitHub Actions",
            attribute_mapping=attribute_mapping(),
            attribute_condition=attribute_condition(args.owner_id, args.repository_id),
            oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=ISSUER),
            opts=self._child,
        )
        self.provider = provider.name
        become = [("preview", "repository", f"attribute.repository_id/{args.repository_id}")]
        become += [("deploy", where, f"attribute.deploys_to/{where}") for where in args.environments]
        for role, source, principals in become:
            serviceaccount.IAMMember(
                f"{self._name}-{source}-is-{role}",
                service_account_id=accounts[role].name,
                role="roles/iam.workloadIdentityUser",
                member=pulumi.Output.concat("principalSet://iam.googleapis.com/", pool.name, "/", principals),
                opts=self._child,
            )

    def _grant(self) -> None:
        reader = self._custom_role("previewer", "Read back a deployed stack, no content", PREVIEW_MAY)
        maker = self._custom_role("deployer", "Make buckets and roles, touch no object, widen no role", DEPLOY_MAY)
        grants: list[tuple[str, str, pulumi.Input[str]]] = [
            ("preview", "reads", reader.name),
            ("deploy", "makes", maker.name),
            *(("deploy", role.removeprefix("roles/"), role) for role in DEPLOY_ROLES),
        ]
        for account, title, role in grants:
            projects.IAMMember(
                f"{self._name}-{account}-{title}",
                project=self._args.place.project,
                role=role,
                member=self.members[account],
                opts=self._child,
            )

    def _custom_role(self, role: str, purpose: str, permissions: Sequence[str]) -> projects.IAMCustomRole:
        return projects.IAMCustomRole(
            f"{self._name}-{role.replace('_', '-')}",
            project=self._args.place.project,
            role_id=f"{self._args.place.names.base.replace('-', '_')}_{role}",
            title=f"Qdrant {role.replace('_', ' ')}",
            description=purpose,
            permissions=list(permissions),
            stage="GA",
            opts=self._child,
        )


def attribute_condition(owner_id: str, repository_id: str) -> str:
    """Return what a token must say to be taken at all. By number: a name can be given up and taken by another."""
    return f'assertion.repository_owner_id == "{owner_id}" && assertion.repository_id == "{repository_id}"'


def attribute_mapping() -> dict[str, str]:
    """Return what is kept of a token: whose it is, and to which environment it may deploy.

    The job's environment is the end of the subject; a job without one, or of another branch, deploys nowhere.
    """
    return {
        "google.subject": "assertion.sub",
        "attribute.repository_id": "assertion.repository_id",
        "attribute.deploys_to": (
            f'assertion.ref == "{MAIN}" ? assertion.sub.extract(":environment:{{name}}") : "{_NOWHERE}"'
        ),
    }
