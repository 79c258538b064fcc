"""`python -m attacks.<name>`: an attack hands itself to the bench."""

import sys


def main(name: str) -> None:
    """Run the attack of this name with the command line's options."""
    from lab.cli import attack_command, run

    try:
        sys.exit(run(sys.argv[1:], attack_command(name, None), f"python -m attacks.{name}"))
    except KeyboardInterrupt:
        sys.exit(130)
