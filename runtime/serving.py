"""`serve`, as the container's own command: settings, logs, the loop, and how a start that failed is told.

Owns what the command line does around an instance's life, without the command line's libraries, which a start has no
use for.
"""

import os
import sys

from runtime import imports, logs, memory
from runtime.errors import RuntimeFailure
from runtime.settings import Settings


def main() -> int:
    """Serve; return the exit status."""
    try:
        return serve()
    except RuntimeFailure as failure:
        tell(failure)
        return failure.exit_code


def serve() -> int:
    """Run an instance to its end. Raises what made the start impossible."""
    settings = Settings.from_env(os.environ, serves=True)
    logs.configure(settings.log_level)
    memory.keep_little()
    with imports.quick():
        import uvloop  # noqa: PLC0415

        from runtime.supervisor import serve as run  # noqa: PLC0415

    return uvloop.run(run(settings))


def tell(failure: RuntimeFailure) -> None:
    """Tell why a start failed: to the log, and to whoever reads standard error."""
    logs.configure("INFO")
    logs.get_logger().error("start.failed", message=str(failure), exit_code=failure.exit_code)
    hint = f"Try: {failure.hint}\n" if failure.hint else ""
    sys.stderr.write(f"Error: {failure.message}\n{hint}")
