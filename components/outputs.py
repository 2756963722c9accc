"""What `pulumi stack output` answers: commands and texts a person copies.

Owns their wording; exports no secret. Pure functions over the values that the components made.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import pulumi

from components.config import StackConfig
from components.container import Container


def key_command(project: str, secret: str) -> str:
    """Return the command that prints an API key; Secret Manager logs who ran it."""
    return f"gcloud secrets versions access latest --secret={secret} --project={project}"


def client_snippet(url: str, *, private: bool, keyed: bool) -> str:
    """Return Python that connects to the service."""
    # The client adds its own default port where it is given none.
    options = [f'url="{url}"', f"port={urlsplit(url).port or 443}"]
    if keyed:
        options.append('api_key=os.environ["QDRANT_API_KEY"]')
    if private:
        # Cloud Run takes its token from this header and leaves Authorization to the application.
        options.append('headers={"X-Serverless-Authorization": f"Bearer {os.environ[\'ID_TOKEN\']}"}')
    joined = "".join(f"    {option},\n" for option in options)
    imports = "import os\n\n" if "os.environ" in joined else ""
    return f"{imports}from qdrant_client import QdrantClient\n\nclient = QdrantClient(\n{joined})\n"


def publish_cloud(
    config: StackConfig,
    container: Container,
    url: pulumi.Output[str],
    made: Mapping[str, pulumi.Output[str]],
) -> None:
    """Export the outputs of a stack in the cloud; made are names of what was made."""
    private = not config.public
    texts: dict[str, pulumi.Input[str]] = {
        "url": url,
        "statusPage": url.apply(lambda base: f"{base}{container.STATUS_ROUTE}"),
        "clientSnippet": url.apply(lambda base: client_snippet(base, private=private, keyed=config.api_keys)),
        "project": config.project,
        "region": config.region,
        "verifyCommand": f"make verify-deployment STACK={config.stack}",
    }
    if private:
        texts["idTokenCommand"] = url.apply(lambda base: f"gcloud auth print-identity-token --audiences={base}")
    if config.api_keys:
        texts["apiKeySecret"] = config.names.secret("api-key")
        texts["apiKeyCommand"] = key_command(config.project, config.names.secret("api-key"))
        texts["readOnlyApiKeyCommand"] = key_command(config.project, config.names.secret("read-only-api-key"))
    for name, value in {**texts, **made}.items():
        pulumi.export(name, value)


def publish_local(config: StackConfig, container: Container) -> None:
    """Export the outputs of a stack on this machine."""
    url = f"http://127.0.0.1:{config.local_port}"
    pulumi.export("url", url)
    pulumi.export("statusPage", f"http://127.0.0.1:{config.local_agent_port}{container.STATUS_ROUTE}")
    pulumi.export("clientSnippet", client_snippet(url, private=False, keyed=False))
