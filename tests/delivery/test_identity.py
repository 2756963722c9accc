import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.delivery import DEPLOY_MAY, DEPLOY_ROLES, PREVIEW_MAY
from components.delivery_config import DeliveryConfig
from components.problems import ConfigProblems
from tests.delivery.claims import Federation, token
from tests.infra.generated import ROOT
from tests.infra.inventory import FOLDER, delivery_inventory
from tests.infra.recorder import Recorder, bootstrap
from tests.infra.stacks import DELIVERY

PULL = {"sub": "repo:acme/search:pull_request", "ref": "refs/pull/7/merge", "event_name": "pull_request"}
DEV = {"sub": "repo:acme/search:environment:dev"}
PROD = {"sub": "repo:acme/search:environment:prod"}


@pytest.fixture(scope="module")
def stack() -> Recorder:
    """Return the bootstrap stack."""
    return bootstrap(DELIVERY)


@pytest.fixture(scope="module")
def federation(stack: Recorder) -> Federation:
    """Return who becomes whom in it."""
    return Federation.declared(stack)


@pytest.mark.parametrize(
    ("claims", "accounts"),
    [
        (token(), {"preview"}),
        (token(**PULL), {"preview"}),
        (token(**DEV), {"preview", "deploy"}),
        (token(**PROD), {"preview", "deploy"}),
        (token(sub="repo:acme/search:environment:staging"), {"preview"}),
        (token(**{**PROD, "ref": "refs/heads/feature"}), {"preview"}),
        (token(**{**PROD, "ref": "refs/heads/main2"}), {"preview"}),
        (token(**{**PROD, "ref": "refs/tags/v1.0.0"}), {"preview"}),
        (token(**{**PROD, "ref": "refs/pull/7/merge"}), {"preview"}),
        (token(sub="repo:acme/search:ref:refs/heads/prod"), {"preview"}),
        (token(sub="repo:acme/search:ref:refs/heads/environment/prod"), {"preview"}),
        (token(sub="repo:acme/search:environment:prod:job:x"), {"preview"}),
        # Another repository that took the name, of the same or another owner; and one of the same owner.
        (token(**PROD, repository_id="1"), set()),
        (token(**PROD, repository_owner_id="1"), set()),
        (token(repository_id="567890"), set()),
        (token(**DEV, repository_id="1", repository="acme/other"), set()),
    ],
)
def test_a_token_becomes_what_its_job_needs_and_no_more(
    federation: Federation, claims: dict[str, str], accounts: set[str]
) -> None:
    """Deploying takes main and a known environment of this very repository; other repositories get nothing."""
    assert federation.becomes(claims) == accounts


@pytest.fixture(scope="module", name="federation")
def declared_federation() -> Federation:
    """Return who becomes whom, declared once and before any example: Pulumi changes the recursion limit."""
    return Federation.declared(bootstrap(DELIVERY))


@given(
    ref=st.sampled_from(["refs/heads/main", "refs/heads/x", "refs/pull/1/merge", "refs/tags/main"]),
    subject=st.sampled_from(["ref:refs/heads/main", "pull_request", "environment:dev", "environment:prodx"]),
    owner=st.sampled_from(["1234", "12345", "4321"]),
    repository=st.sampled_from(["56789", "5678"]),
)
def test_nothing_but_main_in_an_environment_of_the_repository_deploys(
    federation: Federation, ref: str, subject: str, owner: str, repository: str
) -> None:
    """Whatever else a token says, the deploy account takes all four: owner, repository, branch, environment."""
    claims = token(ref=ref, sub=f"repo:acme/search:{subject}", repository_owner_id=owner, repository_id=repository)

    wanted = (ref, subject, owner, repository) == ("refs/heads/main", "environment:dev", "1234", "56789")
    assert ("deploy" in federation.becomes(claims)) == wanted


def test_the_stack_is_what_its_inventory_says() -> None:
    """Every type, name, grant and property of the bootstrap stack equals the reviewed copy."""
    assert delivery_inventory() == (FOLDER / "delivery.yaml").read_text(), "make inventory renews the copy"


def test_a_preview_with_nothing_known_declares_the_same(stack: Recorder) -> None:
    """The program runs while no output is known yet."""
    assert {r.name for r in bootstrap(DELIVERY, preview=True).declared} == {r.name for r in stack.declared}


# What a refresh reads for each type of the stacks; a new type needs its line here and its permission in PREVIEW_MAY.
READS = {
    "artifactregistry/repository": "artifactregistry.repositories.get",
    "artifactregistry/repositoryIamMember": "artifactregistry.repositories.getIamPolicy",
    "cloudrunv2/job": "run.jobs.get",
    "cloudrunv2/jobIamMember": "run.jobs.getIamPolicy",
    "cloudrunv2/service": "run.services.get",
    "cloudrunv2/serviceIamMember": "run.services.getIamPolicy",
    "cloudscheduler/job": "cloudscheduler.jobs.get",
    "logging/metric": "logging.logMetrics.get",
    "monitoring/alertPolicy": "monitoring.alertPolicies.get",
    "monitoring/dashboard": "monitoring.dashboards.get",
    "monitoring/notificationChannel": "monitoring.notificationChannels.get",
    "monitoring/uptimeCheckConfig": "monitoring.uptimeCheckConfigs.get",
    "projects/iAMCustomRole": "iam.roles.get",
    "projects/service": "serviceusage.services.get",
    "projects/serviceIdentity": "serviceusage.services.get",
    "secretmanager/secret": "secretmanager.secrets.get",
    "secretmanager/secretIamMember": "secretmanager.secrets.getIamPolicy",
    "secretmanager/secretVersion": "secretmanager.versions.get",
    "serviceaccount/account": "iam.serviceAccounts.get",
    "serviceaccount/iAMMember": "iam.serviceAccounts.getIamPolicy",
    "storage/bucket": "storage.buckets.get",
    "storage/bucketIAMMember": "storage.buckets.getIamPolicy",
}


def test_the_preview_account_reads_what_stacks_declare() -> None:
    """For each of Google's types in dev and prod it may read the thing back, so that drift can be looked for."""
    text = (FOLDER / "dev.yaml").read_text() + (FOLDER / "prod.yaml").read_text()
    kinds = set(re.findall(r"type: gcp:([^:]+):", text))

    assert kinds <= set(READS)
    assert {READS[kind] for kind in kinds} <= set(PREVIEW_MAY)


def test_the_preview_account_changes_nothing_and_reads_no_content(stack: Recorder) -> None:
    """Its permissions are all reads of things, none of objects, payloads or logs.

    Its only further grants are the state, its key and the images, each for reading.
    """
    assert {permission.rpartition(".")[2] for permission in PREVIEW_MAY} == {"get", "getIamPolicy", "list"}
    assert not [p for p in PREVIEW_MAY if "objects" in p or "logEntries" in p or p.endswith("versions.access")]
    roles = {r.inputs["role"] for r in stack.declared if "qdrant-preview@" in str(r.inputs.get("member", ""))}
    assert roles == {
        "projects/acme-search/roles/qdrant_previewer",
        "roles/storage.objectViewer",
        "roles/cloudkms.cryptoKeyDecrypter",
        "roles/artifactregistry.reader",
    }


def test_the_deploy_account_reads_no_backup_and_widens_no_role(stack: Recorder) -> None:
    """It has no right on objects but those of the state, writes only in Pulumi's folder, and cannot change a role."""
    grants = [r for r in stack.declared if "qdrant-deploy@" in str(r.inputs.get("member", ""))]
    objects = [grant for grant in grants if "storage" in grant.inputs["role"]]

    assert {
        (r.inputs["bucket"], r.inputs["role"], (r.inputs.get("condition") or {}).get("expression")) for r in objects
    } == {
        ("acme-search-qdrant-state", "roles/storage.objectViewer", None),
        (
            "acme-search-qdrant-state",
            "roles/storage.objectUser",
            'resource.name.startsWith("projects/_/buckets/acme-search-qdrant-state/objects/.pulumi/")',
        ),
    }
    assert not [p for p in DEPLOY_MAY if "objects" in p or p == "iam.roles.update"]
    forbidden = {"roles/owner", "roles/editor", "roles/iam.roleAdmin", "roles/storage.admin"}
    assert not forbidden & set(DEPLOY_ROLES)
    assert not [role for role in DEPLOY_ROLES if role.startswith(("roles/resourcemanager", "roles/iam.security"))]


def test_the_documentation_lists_what_the_deploy_account_may() -> None:
    """docs/delivery.md names every role of it."""
    page = (ROOT / "docs" / "delivery.md").read_text()

    assert [role for role in DEPLOY_ROLES if f"`{role}`" not in page] == []


def test_state_and_key_outlive_their_stack(stack: Recorder) -> None:
    """Bucket, ring and key are protected and kept on deletion; the bucket is versioned, private and encrypted."""
    kept = [stack.only("storage/bucket:Bucket"), stack.only("KeyRing"), stack.only("CryptoKey")]
    bucket = kept[0].inputs

    assert all(resource.protect and resource.retain for resource in kept)
    assert bucket["versioning"] == {"enabled": True}
    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["encryption"]["defaultKmsKeyName"]
    assert bucket["forceDestroy"] is False
    assert bucket["lifecycleRules"][0]["condition"] == {
        "daysSinceNoncurrentTime": 90,
        "numNewerVersions": 50,
        "withState": "ARCHIVED",
    }
    assert "state-key-storage" in kept[0].dependencies


def test_the_state_is_decrypted_by_those_who_need_it_alone(stack: Recorder) -> None:
    """Storage and deployment encrypt and decrypt, previews decrypt only, nobody else does either."""
    users = {
        grant.inputs["member"].partition("@")[0].rpartition(":")[2]: grant.inputs["role"].rpartition("Key")[2]
        for grant in stack.all("CryptoKeyIAMMember")
    }

    assert users == {
        "service-123456789012": "EncrypterDecrypter",
        "qdrant-deploy": "EncrypterDecrypter",
        "qdrant-preview": "Decrypter",
    }


def test_a_wrong_configuration_is_told_whole() -> None:
    """Names where numbers are needed, an unknown key and a missing project are told at once, each with its fix."""
    values = {
        "qdrant-delivery:githubOwnerId": "acme",
        "qdrant-delivery:githubRepositoryId": "acme/search",
        "qdrant-delivery:region": "europe-west1",
        "qdrant-delivery:environments": "dev,Prod env",
        "qdrant-delivery:typo": "x",
    }
    with pytest.raises(ConfigProblems) as told:
        DeliveryConfig.parse(values, stack="delivery")

    keys = {problem.key for problem in told.value.problems}
    assert keys == {"project", "githubOwnerId", "githubRepositoryId", "environments", "typo"}
    assert "pulumi config set environments dev,prod" in str(told.value)
