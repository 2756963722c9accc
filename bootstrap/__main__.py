"""What delivery stands on, made once by a person: state, key, images, and GitHub's way in without a key.

docs/delivery.md tells the first run, in which this stack's own state moves into the bucket that it makes.
"""

import sys
from pathlib import Path

import pulumi
import pulumi_gcp as gcp

# Pulumi runs this folder; the components are beside it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from components import apis, delivery, releases, state
from components.delivery_config import DeliveryConfig
from runtime import contract

config = DeliveryConfig.load()
place = config.place(contract)

google: list[pulumi.ProviderResource] = [gcp.Provider("gcp", project=place.project, region=place.region)]
used = apis.ApisArgs(place=place, extra=("cloudkms", "cloudresourcemanager", "iamcredentials", "sts"))
enabled = apis.Apis("apis", used, pulumi.ResourceOptions(providers=google))
then = pulumi.ResourceOptions(providers=google, depends_on=[enabled])

trusted = delivery.DeliveryArgs(
    place=place,
    owner_id=config.owner_id,
    repository_id=config.repository_id,
    environments=config.environments,
)
who = delivery.Delivery("delivery", trusted, then)
kept = state.State("state", state.StateArgs(place=place, members=who.members), then)
images = releases.Releases("releases", releases.ReleasesArgs(place=place, members=who.members), then)

variables = {
    "GCP_WORKLOAD_IDENTITY_PROVIDER": who.provider,
    "GCP_PREVIEW_ACCOUNT": who.emails["preview"],
    "GCP_DEPLOY_ACCOUNT": who.emails["deploy"],
    "GCP_IMAGES": images.address,
    "PULUMI_BACKEND_URL": kept.url,
}
pulumi.export("variables", variables)
pulumi.export(
    "commands",
    pulumi.Output.all(**variables).apply(
        lambda given: "".join(f"gh variable set {name} --body {value}\n" for name, value in sorted(given.items()))
    ),
)
pulumi.export("secretsProvider", kept.secrets_provider)
pulumi.export("stateUrl", kept.url)
