"""The whole program under strict mocks, and what it declared.

Every input is held against the provider's own types and the cloud's rules, computed outputs are filled in, an
unexpected call fails. Needs no engine and no network.
"""

import asyncio
import atexit
import runpy
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, rpc, settings

from components.keys import PROJECT_NAME
from tests.infra import answers, cloud_rules, shapes
from tests.infra.generated import ROOT
from tests.infra.stacks import SECRETS, namespaced


@dataclass(frozen=True)
class Declared:
    """One resource as the program declared it."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    protect: bool
    retain: bool
    ignored: tuple[str, ...]
    dependencies: frozenset[str]
    provider: str
    secret: frozenset[str]


@dataclass
class Recorder(mocks.Mocks):
    """Answers like the cloud and keeps what was declared."""

    preview: bool = False
    declared: list[Declared] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Return what the cloud would know after making the resource."""
        inputs = dict(args.inputs)
        if not args.custom or args.typ.startswith("pulumi:"):
            return args.name, inputs
        know = answers.previewed if self.preview else answers.computed
        return "" if self.preview else f"{args.name}-id", {**inputs, **know(args.typ, args.name, inputs)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Answer the expected functions and fail for any other."""
        self.called.append(args.token)
        return answers.invoked(args.token, args.args), []

    def all(self, kind: str) -> list[Declared]:
        """Return the resources whose type ends like this."""
        return [resource for resource in self.declared if resource.type.endswith(kind)]

    def named(self, name: str) -> Declared:
        """Return the one resource of a name."""
        (found,) = [resource for resource in self.declared if resource.name == name]
        return found

    def only(self, kind: str) -> Declared:
        """Return the one resource of a type."""
        found = self.all(kind)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} resources of type {kind}")
        return found[0]


class _Monitor(mocks.MockMonitor):
    """Keeps the options of each registration, which mocks are not told."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC names it
        """Register as the mock monitor does, and keep the request."""
        wire = json_format.MessageToDict(request.object)
        inputs = plain(wire)
        if request.custom and not request.type.startswith("pulumi:"):
            faults = shapes.faults(request.type, inputs) + cloud_rules.refusals(request.type, inputs)
            if faults:
                raise AssertionError(f"{request.type} {request.name}: {'; '.join(faults)}")
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self._recorder.declared.append(
                Declared(
                    type=request.type,
                    name=request.name,
                    inputs=inputs,
                    parent=request.parent.rpartition("::")[2],
                    protect=request.protect,
                    retain=request.retainOnDelete,
                    ignored=tuple(request.ignoreChanges),
                    dependencies=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                    provider=request.provider.rpartition("::")[0].rpartition("::")[2],
                    secret=frozenset(name for name, value in wire.items() if is_secret(value)),
                )
            )
        return response


def is_secret(value: Any) -> bool:
    """Whether a value on the wire is wrapped as a secret."""
    return isinstance(value, Mapping) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def plain(value: Any) -> Any:
    """Return a value without the wrapping of secrets, and numbers as whole where they are."""
    if isinstance(value, Mapping):
        if is_secret(value):
            return plain(value["value"])
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)


def bring_loop() -> None:
    """Give Pulumi the event loop that it takes from the thread: a test elsewhere that has run one leaves none.

    One for all: a program's outputs wait on the loop they were made on, and are missed when it goes.
    """
    asyncio.set_event_loop(_LOOP)


def run_under_mocks(
    program: Callable[[], object], values: Mapping[str, str], *, stack: str, preview: bool = False
) -> Recorder:
    """Run a program with a configuration; return what it declared."""
    bring_loop()
    recorder = Recorder(preview=preview)
    settings.set_root_resource(None)  # type: ignore[arg-type]  # else the last program's exports stay
    mocks.set_mocks(recorder, project=PROJECT_NAME, stack=stack, preview=preview, monitor=_Monitor(recorder))
    secret = list(namespaced(dict.fromkeys(SECRETS, "")))
    pulumi.runtime.set_all_config(namespaced(values), secret_keys=secret)

    @mocks.test  # type: ignore[untyped-decorator]
    def run() -> pulumi.Output[None]:
        program()
        exported = typing.cast("Any", settings.get_root_resource()).outputs
        return pulumi.Output.all(**exported).apply(recorder.outputs.update)

    run()
    return recorder


def bootstrap(values: Mapping[str, str], *, preview: bool = False) -> Recorder:
    """Run the bootstrap program with a configuration; return what it declared."""
    main = str(ROOT / "bootstrap" / "__main__.py")
    return run_under_mocks(lambda: runpy.run_path(main, run_name="__main__"), values, stack="delivery", preview=preview)


def deploy(values: Mapping[str, str], *, stack: str = "dev", preview: bool = False) -> Recorder:
    """Run this project's program with a configuration; return what it declared."""
    main = str(ROOT / "__main__.py")
    return run_under_mocks(lambda: runpy.run_path(main, run_name="__main__"), values, stack=stack, preview=preview)
