"""The container's own health check: `python -m runtime.healthcheck` ends with 0 while /health answers 200.

Standard library only, so that it starts at once. Decides nothing: what is healthy is the agent's answer.
"""

import os
import sys
import urllib.request
from typing import Final

from runtime import contract

_SECONDS: Final = 4.0


def main() -> int:
    """Return 0 when the instance on this machine serves, else 1."""
    port = os.environ.get(contract.AGENT_PORT) or contract.DEFAULT_AGENT_PORT
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{contract.HEALTH_ROUTE}", timeout=_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:  # an HTTPError is one
        print(f"not healthy: {error}", file=sys.stderr)  # noqa: T201 - Docker keeps what a check prints
        return 1


if __name__ == "__main__":
    sys.exit(main())
