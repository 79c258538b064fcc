"""`python -m lab`, which is also the command `lab`."""

import io
import os
import sys


def main() -> int:
    """Run the command line; Ctrl-C is an ordinary way to end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding: a sign, not a traceback
    try:
        from lab.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has read enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
