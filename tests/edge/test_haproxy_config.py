"""HAProxy's configuration as a text, and what is refused before it is one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.edge.haproxy import EdgeConfig, command, find_haproxy, render
from runtime.errors import ConfigError

CONFIG = EdgeConfig(
    port=8080,
    agent_port=8081,
    qdrant_http=6333,
    qdrant_grpc=6334,
    gate_rest=Path("/run/edge/rest.sock"),
    gate_rpc=Path("/run/edge/rpc.sock"),
    control=Path("/run/edge/control.sock"),
    threads=2,
)
TRACED = replace(CONFIG, project="example.com:a-project")


@pytest.mark.parametrize("config", [CONFIG, TRACED], ids=["plain", "traced"])
def test_haproxy_itself_finds_nothing_to_complain_about(tmp_path: Path, config: EdgeConfig) -> None:
    """The configuration is accepted without a warning by the HAProxy that is installed."""
    path = tmp_path / "haproxy.cfg"
    path.write_text(render(config))
    checked = subprocess.run(
        [*command(find_haproxy(), path), "-c"], capture_output=True, text=True, check=False, timeout=20
    )

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_no_line_is_longer_than_haproxy_reads() -> None:
    """HAProxy's limit is 2048 characters; a route too many on a line would be found here, not in production."""
    assert max(map(len, render(CONFIG).splitlines())) < 2000


def test_what_is_behind_is_on_this_machine_only() -> None:
    """Nothing but the one port listens beyond loopback and files."""
    lines = [line.split() for line in render(CONFIG).splitlines()]

    assert [line[1] for line in lines if line[:1] == ["bind"]] == [":8080"]
    assert all(line[2].startswith(("127.0.0.1:", "unix@")) for line in lines if line[:1] == ["server"])


@pytest.mark.parametrize("path", ["relative.sock", "/run/a b.sock", "/run/x\nbind :1", "/" + "long" * 30])
def test_a_path_that_cannot_be_a_socket_is_refused(path: str) -> None:
    """A path reaches the configuration as it is, so it must be one that means nothing else there."""
    with pytest.raises(ConfigError, match="cannot be the path of a socket"):
        replace(CONFIG, control=Path(path))


def test_a_missing_haproxy_is_one_clear_line() -> None:
    """Where there is none, the message says how to get one."""
    with pytest.raises(ConfigError, match=r"HAProxy is missing\. .*apt-get install haproxy"):
        find_haproxy(folders="/nowhere")


def test_the_rest_side_loads_no_grpc() -> None:
    """An instance listens within a second because the heavy imports come later."""
    program = "import sys, runtime.edge.rest; print([m for m in ('grpc', 'google', 'jinja2') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)

    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("project", ["x\n    bad", "A B", '"', "x'"])
def test_what_is_no_project_stays_out_of_the_configuration(project: str) -> None:
    """A name that Google would not give changes nothing."""
    assert render(replace(CONFIG, project=project)) == render(CONFIG)
