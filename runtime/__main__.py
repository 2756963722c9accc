"""`python -m runtime`: the one place where failures become exit codes."""

import os
import sys

from runtime.cli import main

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a store's thread may be inside a request whose deadline is longer than what SIGTERM leaves us.
    os._exit(status)
