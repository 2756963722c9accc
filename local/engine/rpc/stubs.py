"""Qdrant's protobuf classes, without the client that ships them.

Importing `qdrant_client` costs over a second (pydantic models, numpy, httpx), and a server has to listen
before that. Its `grpc` subpackage needs none of it, so it is loaded beside an empty parent.
"""

import importlib
import importlib.machinery
import sys
import types
from typing import Any


def _load() -> Any:
    if "qdrant_client" in sys.modules:
        return importlib.import_module("qdrant_client.grpc")
    spec = importlib.machinery.PathFinder.find_spec("qdrant_client")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("qdrant_client is not installed")
    parent = types.ModuleType("qdrant_client")
    parent.__path__ = list(spec.submodule_search_locations)
    sys.modules["qdrant_client"] = parent
    try:
        return importlib.import_module("qdrant_client.grpc")
    finally:
        # Whoever wants the client itself in this process shall still get the whole of it.
        del sys.modules["qdrant_client"]


grpc_messages = _load()
