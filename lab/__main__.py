"""`python -m lab`, which is also the command `lab`."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C is an ordinary way to end."""
    try:
        from lab.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
