"""`python -m runtime`: the one place where failures become exit codes."""

import os
import sys

from runtime import imports

with imports.quick():
    if sys.argv[1:] == ["serve"]:
        from runtime.serving import main
    else:
        from runtime.cli import main

if __name__ == "__main__":
    # gRPC's fork handlers serve programs that go on in Python after a fork; ours start other programs.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a store's thread may be inside a request whose deadline is longer than what SIGTERM leaves us.
    os._exit(status)
