"""What the environment says: the variables of the real binary, and the switches that tests need on top.

Every other `QDRANT__` variable is ignored, so that the supervisor can start either program the same way.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """How one embedded engine is to run."""

    host: str
    http_port: int
    grpc_port: int
    storage: Path
    snapshots: Path
    api_key: str
    read_only_api_key: str
    term_seconds: float
    stream_bytes_per_second: int
    version: str
    restore: tuple[tuple[Path, str], ...] = ()

    @staticmethod
    def read(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> "Options":
        """Answer the options that a command line and an environment ask for."""
        return Options(
            host=environ.get("QDRANT__SERVICE__HOST", "0.0.0.0"),
            http_port=_number(environ, "QDRANT__SERVICE__HTTP_PORT", 6333),
            grpc_port=_number(environ, "QDRANT__SERVICE__GRPC_PORT", 6334),
            storage=Path(environ.get("QDRANT__STORAGE__STORAGE_PATH", "./storage")),
            snapshots=Path(environ.get("QDRANT__STORAGE__SNAPSHOTS_PATH", "./snapshots")),
            api_key=environ.get("QDRANT__SERVICE__API_KEY", ""),
            read_only_api_key=environ.get("QDRANT__SERVICE__READ_ONLY_API_KEY", ""),
            term_seconds=_number(environ, "EMBEDDED_ENGINE_TERM_SECONDS", 0),
            stream_bytes_per_second=_number(environ, "EMBEDDED_ENGINE_STREAM_BYTES_PER_SECOND", 0),
            version=(version := environ.get("EMBEDDED_ENGINE_VERSION", "1.18.3")),
            restore=_snapshots(arguments, version),
        )


def _snapshots(arguments: Sequence[str], version: str) -> tuple[tuple[Path, str], ...]:
    parser = argparse.ArgumentParser(prog="qdrant", description="The embedded engine, not Qdrant itself.")
    parser.add_argument("--snapshot", action="append", default=[], metavar="PATH:NAME", type=_snapshot)
    parser.add_argument("--version", action="version", version=f"qdrant {version}")
    parser.add_argument("--disable-telemetry", action="store_true", help="there is none")
    return tuple(parser.parse_args(arguments).snapshot)


def _snapshot(text: str) -> tuple[Path, str]:
    path, _, name = text.rpartition(":")
    return Path(path), name


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name, "") or str(default)
    if not value.isdigit():
        raise ConfigError(f"{name} is {value!r}, not a number", hint=f"Set {name} to a whole number or leave it out")
    return int(value)
