"""What the cloud fills in: computed outputs as realistic as a program needs them.

Used by the mocks and by the provider behind the real engine, so that both tell the program the same.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

PROJECT_NUMBER: Final = "123456789012"


def computed(token: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs that a resource has beside its inputs."""
    answer = _ANSWERS.get(token)
    return answer(name, inputs) if answer else {}


def previewed(token: str, _name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs known in a preview: of an image to be built its tag, of the rest nothing."""
    return {"ref": inputs["tags"][0], "digest": ""} if token == "docker-build:index:Image" else {}


def invoked(token: str, _arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of a function; any other than these fails the test that calls it."""
    if token == "gcp:organizations/getClientConfig:getClientConfig":
        return {"accessToken": "ya29.token-of-the-deployer", "project": "acme-search", "id": "config"}
    if token == "gcp:storage/getProjectServiceAccount:getProjectServiceAccount":
        email = f"service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
        return {
            "emailAddress": email,
            "member": f"serviceAccount:{email}",
            "id": email,
            "project": "acme-search",
        }
    raise AssertionError(f"unexpected call of {token}")


def digest(*parts: object) -> str:
    """Return a digest that follows from its parts."""
    return "sha256:" + hashlib.sha256(repr(parts).encode()).hexdigest()


def _account(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give an account the address that follows from its id."""
    email = f"{inputs['accountId']}@{inputs['project']}.iam.gserviceaccount.com"
    name = f"projects/{inputs['project']}/serviceAccounts/{email}"
    return {"email": email, "member": f"serviceAccount:{email}", "name": name, "uniqueId": "1" * 21}


def _service(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a service its URL and the revision that follows from its template."""
    region = str(inputs["location"])
    revision = digest(inputs["template"])[7:12]
    return {
        "uri": f"https://{inputs['name']}-{PROJECT_NUMBER}.{region}.run.app",
        "latestReadyRevision": f"{inputs['name']}-{revision}",
    }


def _secret(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a secret its full name, which has the project's number."""
    return {"name": f"projects/{PROJECT_NUMBER}/secrets/{inputs['secretId']}"}


def _secret_version(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a version its number."""
    number = inputs.get("secretDataWoVersion", "1")
    return {"version": number, "name": f"{inputs['secret']}/versions/{number}", "enabled": True}


def _pool(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a pool its full name, which has the project's number."""
    return {"name": _pool_name(inputs)}


def _pool_provider(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a pool's provider its full name."""
    return {"name": f"{_pool_name(inputs)}/providers/{inputs['workloadIdentityPoolProviderId']}"}


def _pool_name(inputs: Mapping[str, Any]) -> str:
    """Return a pool's full name."""
    return f"projects/{PROJECT_NUMBER}/locations/global/workloadIdentityPools/{inputs['workloadIdentityPoolId']}"


def _role(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a custom role its full name."""
    return {"name": f"projects/{inputs['project']}/roles/{inputs['roleId']}"}


def _service_agent(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a service's own account its address."""
    api = str(inputs["service"]).partition(".")[0]
    email = f"service-{PROJECT_NUMBER}@gcp-sa-{api}-notification.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}"}


def _image(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give an image the digest that follows from its tags."""
    built = digest(inputs["tags"], inputs.get("buildArgs"))
    return {"ref": f"{inputs['tags'][0]}@{built}", "digest": built, "contextHash": built[7:]}


def _channel(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a channel a name that it did not choose."""
    return {"name": f"projects/{inputs['project']}/notificationChannels/{digest(name)[7:15]}"}


def _uptime(name: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a check an identifier that it did not choose."""
    return {"uptimeCheckId": f"uptime-{digest(name)[7:15]}"}


def _password(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Make a password that follows from its keepers."""
    return {"result": "pw" + digest(name, inputs.get("keepers"))[7:45]}


def _docker_image(_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Give an image of a daemon its id."""
    return {"imageId": digest(inputs["name"]), "repoDigest": f"{inputs['name']}@{digest(inputs['name'])}"}


_ANSWERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    "gcp:serviceaccount/account:Account": _account,
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": _pool,
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": _pool_provider,
    "gcp:cloudrunv2/service:Service": _service,
    "gcp:secretmanager/secret:Secret": _secret,
    "gcp:secretmanager/secretVersion:SecretVersion": _secret_version,
    "gcp:projects/iAMCustomRole:IAMCustomRole": _role,
    "gcp:projects/serviceIdentity:ServiceIdentity": _service_agent,
    "gcp:monitoring/notificationChannel:NotificationChannel": _channel,
    "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig": _uptime,
    "docker-build:index:Image": _image,
    "docker:index/remoteImage:RemoteImage": _docker_image,
    "random:index/randomPassword:RandomPassword": _password,
}
