"""`python -m lava`: the command-line tool, the same as the program `lava`."""

import signal
import sys

from ._lava import run


def main() -> int:
    """Runs the command line with the arguments of this process."""
    # The tool has its own way to end in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run(["lava", *sys.argv[1:]], [sys.executable, "-m", "lava"])


if __name__ == "__main__":
    sys.exit(main())
