"""What Pulumi's providers accept, read from the installed packages' own input types.

Plain mocks let a misspelt or a missing property pass; these are the shapes that a mock or a provider of ours
holds every input against, at any depth.
"""

import collections.abc
import enum
import importlib
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import pulumi
from pulumi import _types as pulumi_types
from pulumi.runtime.rpc import UNKNOWN

_PACKAGES: Final = {
    "gcp": "pulumi_gcp",
    "docker": "pulumi_docker",
    "docker-build": "pulumi_docker_build",
    "random": "pulumi_random",
}


def faults(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Return every property of a resource that its type does not have, lacks or types otherwise."""
    return _object_faults(_arguments_class(token), inputs, "")


def resource_class(token: str) -> type:
    """Return the installed package's class of a resource."""
    return _of_package(token, "")


def _arguments_class(token: str) -> type:
    """Return the installed package's input type of a resource."""
    return _of_package(token, "Args")


@cache
def _of_package(token: str, suffix: str) -> type:
    """Return a class of an installed package."""
    package, module, kind = token.split(":")
    folder = module.partition("/")[0]
    name = _PACKAGES[package] if folder == "index" else f"{_PACKAGES[package]}.{folder}"
    found: type = getattr(importlib.import_module(name), f"{kind}{suffix}")
    return found


@cache
def _properties(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of an input type's properties by their wire names, and which are required."""
    kinds = pulumi_types.input_type_types(kind)
    names = pulumi_types.input_type_py_to_pulumi_names(kind)
    parameters = _signature(kind)
    required = frozenset(names[name] for name, needed in parameters.items() if needed and name in names)
    return kinds, required


def _signature(kind: type) -> dict[str, bool]:
    """Return which parameters of a type are required."""
    found = inspect.signature(kind).parameters.values()
    return {p.name: p.default is p.empty for p in found if p.name not in ("self", "__self__")}


def _object_faults(kind: type, value: Any, path: str) -> list[str]:
    """Return what is wrong with an object of an input type."""
    if not isinstance(value, Mapping):
        return [f"{path or kind.__name__}: {value!r} is not an object"]
    kinds, required = _properties(kind)
    found = [f"{path}{name}: required and missing" for name in sorted(required - set(value))]
    for name, inner in value.items():
        if name not in kinds:
            found.append(f"{path}{name}: {kind.__name__} has no such property")
        else:
            found += _value_faults(kinds[name], inner, f"{path}{name}")
    return found


def _value_faults(kind: Any, value: Any, path: str) -> list[str]:
    """Return what is wrong with a value of any type."""
    kind = _plain(kind)
    origin = typing.get_origin(kind)
    items: Iterable[tuple[Any, Any]] | None
    if value is None or value == UNKNOWN:
        return []
    if origin in (collections.abc.Sequence, list):
        items = enumerate(value) if isinstance(value, list) else None
        return _inner_faults(kind, items, f"{path}: {value!r} is not a list", path)
    if origin in (collections.abc.Mapping, dict):
        items = value.items() if isinstance(value, Mapping) else None
        return _inner_faults(kind, items, f"{path}: {value!r} is not a map", path)
    if isinstance(kind, type) and pulumi_types.is_input_type(kind):
        return _object_faults(kind, value, f"{path}.")
    return [] if _scalar_fits(kind, value) else [f"{path}: {value!r} is not of type {kind}"]


def _inner_faults(kind: Any, items: Iterable[tuple[Any, Any]] | None, refusal: str, path: str) -> list[str]:
    """Return what is wrong with the items of a list or a map."""
    if items is None:
        return [refusal]
    inner = typing.get_args(kind)[-1]
    return [fault for key, item in items for fault in _value_faults(inner, item, f"{path}[{key}]")]


def _plain(kind: Any) -> Any:
    """Return a type without the ways in which it may come later: Optional, Awaitable, Output."""
    while typing.get_origin(kind) in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
        kept = [c for c in choices if typing.get_origin(c) not in (collections.abc.Awaitable, pulumi.Output)]
        kind = kept[0] if kept else choices[0]
    return kind


def _scalar_fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a simple type."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        whole = kind is float or float(value).is_integer() if isinstance(value, int | float) else False
        return whole and not isinstance(value, bool)
    return isinstance(value, str) if kind is str else True
