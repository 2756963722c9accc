"""A strict provider behind the real engine: a small cloud in memory.

Speaks Pulumi's provider protocol. Holds every input against the provider's types and the cloud's rules when
it is checked, so a wrong one fails a preview as it would in the cloud; refuses deletion where the cloud does;
remembers what exists, what was made in which order, and what was called.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from tests.infra import answers, cloud_rules, shapes
from tests.infra.recorder import plain

PACKAGES: Final = ("gcp", "docker-build", "docker", "random")

# Properties whose change makes another thing of it.
_REPLACING: Final = frozenset({"project", "location", "name", "accountId", "secretId", "roleId", "repositoryId"})
_REPLACING_IN: Final[Mapping[str, frozenset[str]]] = {
    "random:index/randomPassword:RandomPassword": frozenset({"keepers", "length"}),
    "gcp:secretmanager/secretVersion:SecretVersion": frozenset({"secretDataWoVersion", "secret"}),
    "gcp:storage/bucketIAMMember:BucketIAMMember": frozenset({"bucket", "role", "member", "condition"}),
}
# Values that a provider compares by other means, or not at all.
_NOT_COMPARED: Final = frozenset({"secretDataWo", "registries"})


class Cloud(provider_pb2_grpc.ResourceProviderServicer):
    """What exists, by identifier."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[str, dict[str, Any]]] = {}
        self.made: list[str] = []
        self.called: list[str] = []
        self._lock = threading.Lock()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the inputs of what exists of a type."""
        return [inputs for token, inputs in self.there.values() if token.endswith(kind)]

    def Handshake(self, request: Any, context: Any) -> Any:
        """Accept secrets, so that the engine does not hide from us what is one."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def Attach(self, request: Any, context: Any) -> Any:
        """Be attached to."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Tell a version that no package finds too old."""
        return plugin_pb2.PluginInfo(version="99.0.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Take any configuration of the provider itself."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """See no difference."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Be ready."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        """Refuse what the types or the cloud refuse."""
        inputs = plain(json_format.MessageToDict(request.news))
        reasons = shapes.faults(request.type, inputs)
        reasons = reasons or cloud_rules.refusals(request.type, inputs)
        failures = [provider_pb2.CheckFailure(property="", reason=reason) for reason in reasons]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare inputs, and tell which change makes another thing."""
        old = plain(json_format.MessageToDict(request.old_inputs))
        new = plain(json_format.MessageToDict(request.news))
        changed = [
            key
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in _NOT_COMPARED and key not in request.ignoreChanges
        ]
        replacing = _REPLACING | _REPLACING_IN.get(request.type, frozenset())
        if not changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=changed,
            replaces=[key for key in changed if key in replacing],
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Make a thing, or tell what a preview can know of it."""
        state = self._state(request, request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(state))
        with self._lock:
            self.made.append(request.name)
            identifier = f"{request.name}#{len(self.made)}"
            self.there[identifier] = (request.type, plain(json_format.MessageToDict(request.properties)))
        return provider_pb2.CreateResponse(id=identifier, properties=_struct(state))

    def Update(self, request: Any, context: Any) -> Any:
        """Change a thing."""
        if not request.preview:
            self.there[request.id] = (request.type, plain(json_format.MessageToDict(request.news)))
        state = self._state(request, request.news)
        if request.preview and request.type != "docker-build:index:Image":
            # What the cloud once made up, such as a URL, it keeps through an update.
            old = plain(json_format.MessageToDict(request.olds))
            state = {key: old.get(key, value) if value == UNKNOWN else value for key, value in state.items()}
        return provider_pb2.UpdateResponse(properties=_struct(state))

    def Read(self, request: Any, context: Any) -> Any:
        """Tell how a thing is now: as the engine knows it, unless somebody changed it in the cloud, or gone."""
        if request.id not in self.there:
            return provider_pb2.ReadResponse()
        known = plain(json_format.MessageToDict(request.inputs))
        now = self.there[request.id][1]
        if now == known:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        state = {**plain(json_format.MessageToDict(request.properties)), **now}
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(state), inputs=_struct(now))

    def Delete(self, request: Any, context: Any) -> Any:
        """Delete a thing, unless the cloud would refuse to."""
        token, inputs = self.there[request.id]
        if inputs.get("deletionProtection") or (token.endswith(":Bucket") and not inputs.get("forceDestroy")):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.name} is locked against deletion")
        with self._lock:
            del self.there[request.id]
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """Answer the functions that the program may call."""
        self.called.append(request.tok)
        answer = answers.invoked(request.tok, json_format.MessageToDict(request.args))
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    def Cancel(self, request: Any, context: Any) -> Any:
        """Have nothing to cancel."""
        return empty_pb2.Empty()

    def _state(self, request: Any, properties: Any) -> dict[str, Any]:
        """Return the outputs of a thing, in a preview without what is not known yet."""
        wire = json_format.MessageToDict(properties)
        # Write-only: the provider keeps no trace of it among its outputs.
        kept = {key: value for key, value in wire.items() if key != "secretDataWo"}
        know = answers.computed(request.type, request.name, plain(wire))
        if request.preview:
            known = answers.previewed(request.type, request.name, plain(wire))
            know = {key: known.get(key, UNKNOWN) for key in know}
        return {**kept, **know}


def _struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return a message from a mapping."""
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


@contextmanager
def serving(cloud: Cloud) -> Iterator[str]:
    """Serve a cloud on a port of this machine; give what PULUMI_DEBUG_PROVIDERS has to say."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(cloud, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield ",".join(f"{package}:{port}" for package in PACKAGES)
    finally:
        server.stop(grace=1).wait(5)
