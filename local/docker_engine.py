"""Qdrant's official image as a program that can be started and killed like a binary.

Owns the launcher. The container must not outlive whoever started it, even by SIGKILL: it reads its standard input,
which Docker closes when the client is gone, and ends its engine then.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from runtime.errors import ConfigError

IMAGE: Final = "qdrant/qdrant:v1.19.0"

# A shell gives what it runs in the background /dev/null to read, unless told otherwise: hence the copy.
_UNTIL_STDIN_CLOSES: Final = (
    'exec 3<&0; /qdrant/qdrant "$@" & engine=$!; (cat <&3 >/dev/null; kill -9 $engine) & wait $engine'
)


def docker_engine() -> Path:
    """Return the launcher's path. Raises ConfigError when there is no Docker daemon, or no such image."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        raise ConfigError("no Docker daemon answers", hint="Start Docker, or run `make demo` without ENGINE=docker")
    if not _succeeds("docker", "image", "inspect", IMAGE) and not _succeeds("docker", "pull", "--quiet", IMAGE):
        raise ConfigError(f"the image {IMAGE} cannot be had", hint="Check the network, or pull it yourself")
    return Path(__file__).with_name("qdrant-in-docker")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Become `docker run` with this process's QDRANT__* variables."""
    storage = Path(os.environ["QDRANT__STORAGE__STORAGE_PATH"])
    variables = [f"--env={name}" for name in os.environ if name.startswith("QDRANT__")]
    folder = str(storage.parent)
    _read_from_a_pipe_that_nobody_closes()
    os.execvp(  # noqa: S606 - becoming docker is the point: signals and the exit status are its own
        "docker",
        [
            *("docker", "run", "--rm", "--interactive", "--network=host", f"--user={os.getuid()}:{os.getgid()}"),
            f"--volume={folder}:{folder}",
            *variables,
            *("--entrypoint=sh", IMAGE, "-c", _UNTIL_STDIN_CLOSES, "qdrant", *sys.argv[1:]),
        ],
    )


def _read_from_a_pipe_that_nobody_closes() -> None:
    """Give this process, and docker after it, an input that ends when it ends, whatever the input was before."""
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.set_inheritable(writing, True)


if __name__ == "__main__":
    main()
