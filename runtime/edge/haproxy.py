"""HAProxy's configuration: the one port, and which requests may go to the engine around the gate.

Owns the translation of the route table into HAProxy's terms. The list of reads is made from the table, and is
narrower than it: a path that is not in its plainest form (double or trailing slashes, escapes outside names)
goes to the gate, which reads paths as Qdrant does. Owns no process: the supervisor starts `command` as its
child and opens the way to the engine through `runtime.edge.control`.

A client may send Google's ID token as `Authorization` (Cloud Run asks for it) beside Qdrant's `api-key`, or
a Qdrant key as `Authorization: Bearer`. So `Authorization` goes on to the engine unless an `api-key` is there
too, or Google's front end has removed the token's signature, as it does with one that it has checked itself.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from runtime import contract, trace
from runtime.edge import rest_routes, rpc_routes
from runtime.errors import ConfigError

# What may stand for a name in a read that goes around the gate. No quote: it would end HAProxy's quoting.
_NAME: Final = r"(?:[A-Za-z0-9_.~!$&()*+,=:@-]|%[0-9A-Fa-f]{2})+"
_BELOW: Final = r"(?:[A-Za-z0-9_.~@/-])*"
# Google's project ids; what is none is not written into a configuration.
_PROJECT: Final = re.compile(r"[a-z][a-z0-9.:-]{2,80}", re.ASCII)
_AGENT_PATHS: Final = (contract.HEALTH_ROUTE, contract.STATUS_ROUTE)
# Forwarding headers that servers take for the truth about a request, and no server here needs.
_STRIPPED: Final = (
    "forwarded",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
)
_FAILURES: Final = (
    (400, "bad request"),
    (405, "no such method"),
    (408, "the request was not sent in time"),
    (500, "the edge failed"),
    (502, "the connection to the engine was cut; the request may have been applied"),
    (503, "not ready: restoring, or the engine is being started"),
    (504, "the engine did not answer in time; the request may have been applied"),
)
# Not on an ordinary user's PATH.
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")
_UNIX_PATH_BYTES: Final = 90  # the system's limit is 107, and HAProxy adds a suffix while it binds


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Where the edge listens and what is behind it; the gate is on unix sockets: no port can clash.

    `project`: whose traces its log lines belong to.
    """

    port: int
    agent_port: int
    qdrant_http: int
    qdrant_grpc: int
    gate_rest: Path
    gate_rpc: Path
    control: Path
    project: str | None = None
    threads: int = 1
    max_connections: int = 2000

    def __post_init__(self) -> None:
        for path in (self.gate_rest, self.gate_rpc, self.control):
            if len(str(path)) > _UNIX_PATH_BYTES or not re.fullmatch(r"/[\w./-]+", str(path)):
                raise ConfigError(
                    f"{path} cannot be the path of a socket",
                    hint=f"use an absolute path of at most {_UNIX_PATH_BYTES} letters, digits, . _ -",
                )


def render(edge: EdgeConfig) -> str:
    """Return HAProxy's configuration."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - slow, and a start has better to do first

    template = Path(__file__).with_name("haproxy.cfg.j2").read_text()
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - this is no HTML, and nothing in it comes from a client
    )
    return environment.from_string(template).render(
        edge=edge,
        trace_key=trace.TRACE_KEY,
        project=edge.project if edge.project and _PROJECT.fullmatch(edge.project) else None,
        methods=sorted(rest_routes.METHODS),
        stripped=_STRIPPED,
        failures=_FAILURES,
        agent_paths=_AGENT_PATHS,
        read_acls=[*_rest_acls(), *_rpc_acls()],
        rest_reads=["METH_OPTIONS", "METH_GET read_get", "METH_HEAD read_get", "METH_POST read_post"],
    )


def command(haproxy: str, config: Path) -> list[str]:
    """Return how to run HAProxy as a plain child: in the foreground, one process, ended by TERM at once."""
    return [haproxy, "-db", "-f", str(config)]


def find_haproxy(*, folders: str | None = None) -> str:
    """Return HAProxy's path, looked for in PATH and where Debian installs it, or in `folders` alone."""
    places = folders if folders is not None else os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS))
    found = shutil.which("haproxy", path=places)
    if found is None:
        raise ConfigError(
            "HAProxy is missing", hint="Install HAProxy 2.6 or newer, for example: apt-get install haproxy"
        )
    return found


def _rest_acls() -> Iterator[str]:
    for method in ("GET", "POST"):
        acl = f"acl read_{method.lower()}"
        paths = [r.path for r in rest_routes.ROUTES if r.method == method and r.effect is rest_routes.READ]
        for stem, group in groupby(sorted(map(_split, paths)), key=lambda split: split[0]):
            tails = "|".join(re.escape(tail).replace(r"\*\*", _BELOW) for _, tail in group)
            pattern = _NAME.join(re.split(r"\{c\}|\*", stem))
            yield f"{acl} path_reg '^{pattern}(?:{tails})$'"


def _split(path: str) -> tuple[str, str]:
    stem = re.match(r"(.*(?:\{c\}|/\*(?!\*)))?(.*)", path)
    return (stem[1] or "", stem[2]) if stem else ("", path)


def _rpc_acls() -> Iterator[str]:
    reads = sorted(method for method, effect in rpc_routes.METHODS.items() if effect is None)
    for _, group in groupby(reads, key=lambda method: method.rpartition("/")[0]):
        yield f"acl rpc_read path {' '.join(group)}"
