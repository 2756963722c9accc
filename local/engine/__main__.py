"""`python -m local.engine`: the embedded engine, run as the real binary is: by its environment, mostly."""

import sys
import traceback

from local.engine.options import Options
from runtime.errors import ConfigError

_PANIC = 101


def main() -> int:
    """Run the engine; answer the exit code the real binary would have."""
    try:
        options = Options.read(sys.argv[1:])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    from local.engine.server import serve  # noqa: PLC0415  (a wrong setting is told before anything heavy loads)

    try:
        serve(options)
    except Exception:  # noqa: BLE001  (the real one panics on whatever it cannot load or bind: 101)
        traceback.print_exc()
        return _PANIC
    return 0


if __name__ == "__main__":
    sys.exit(main())
