"""Standard output, for people: rich's console, except where whoever reads has read enough."""

import os
import sys

from rich.console import Console


class Output(Console):
    """A console to whose reader it is left how much to read. When that one has gone (`| head`), the rest is written to
    nowhere, and what was begun ends as always; rich would end the program in the middle of it, with status 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich when a write finds the pipe closed."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # or Python would complain while it ends
        os.close(nowhere)
