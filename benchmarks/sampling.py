"""Where a server's time goes: its own program, looked at a few hundred times a second.

A signal comes after every few milliseconds of processor time (setitimer(2), ITIMER_PROF), and what runs at that moment
is counted: a line of Python, and with it whatever that line calls in C, such as the kernel's `send`. So what waits is
not counted, and what else runs on a shared machine does not show.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from benchmarks.rows import Slice
from common.errors import LabError
from common.files import write_whole

EVERY_SECONDS: Final = 0.002
BEGIN, END = signal.SIGUSR1, signal.SIGUSR2
SHOWN: Final = 12
WRITTEN_SECONDS: Final = 10.0


class Sampler:
    """Counts lines of its own program from BEGIN to END, and then writes down the most frequent."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: Counter[tuple[str, int, str]] = Counter()
        signal.signal(signal.SIGPROF, self.look)
        signal.signal(BEGIN, self.begin)
        signal.signal(END, self.end)

    def begin(self, *_: object) -> None:
        """Look from now on."""
        self.seen.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)

    def look(self, _: int, frame: FrameType | None) -> None:
        """One sample."""
        if frame:
            self.seen[frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname] += 1

    def end(self, *_: object) -> None:
        """Look no more, and write."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        write_whole(self.file, msgspec.json.encode(self.slices()))

    def slices(self) -> list[Slice]:
        """The lines that were seen most."""
        total = self.seen.total()
        return [
            Slice(count / total, f"{Path(file).stem}: {function}", source(file, number))
            for (file, number, function), count in self.seen.most_common(SHOWN)
        ]


def source(file: str, number: int) -> str:
    """A line of a program; nothing where the program is not a file."""
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()[number - 1].strip()
    except (OSError, IndexError):
        return ""


@contextmanager
def sampled(pid: int, file: Path) -> Iterator[list[Slice]]:
    """What a program that has a Sampler does while the block runs; the list is filled when it ends.

    Raises LabError where the program does not answer.
    """
    slices: list[Slice] = []
    file.unlink(missing_ok=True)
    os.kill(pid, BEGIN)
    yield slices
    until = time.monotonic() + WRITTEN_SECONDS
    while not file.exists():
        if time.monotonic() > until:
            raise LabError("The server that was looked at wrote nothing down; is it still there?")
        # Again and again: a signal that comes between Python's last look for one and the wait of an idle event loop is
        # not seen before something else happens, and nothing else will.
        os.kill(pid, END)
        time.sleep(0.05)  # it writes whole, but tells nobody when
    slices += msgspec.json.decode(file.read_bytes(), type=list[Slice])
