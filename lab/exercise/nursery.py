"""The bench's side of the child process: starts it, has programs forked in it, and reads what they wrote."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from common.errors import LabError
from common.text import printable
from lab.exercise import lines
from lab.exercise.lines import encode
from lab.exercise.program import Hosts, Program, Trouble, crashed
from lab.runs import ROOT

START_SECONDS: Final = 10.0
IMPORT_SECONDS: Final = 5.0
CHILD_OPTIONS: tuple[str, ...] = ()
"""What the child is started with beside its folders: `--no-namespaces` does without them, as where none can be had."""
PRINTED: Final = 2000
"""How many of the last characters that the learner's code printed are kept."""
GIVEN: Final = "given"
SUBMISSION: Final = f"{GIVEN}/submission"


class Nursery:
    """The child process of one check. `start` it first, `close` it last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """A folder of the bench's own: `given` in it is what the child's code is to have, `printed` what it printed."""
        self.isolated = False
        self.why_not = ""
        self._programs: dict[int, Program] = {}
        self._made = 0

    async def start(self) -> None:
        """Start the process. Raises LabError."""
        (self.folder / "scratch").mkdir()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setblocking(False)
        child = str(Path(__file__).with_name("child.py"))
        with theirs, (self.folder / "printed").open("ab") as printed:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [
                    sys.executable,
                    "-I",
                    "-B",
                    "-u",
                    child,
                    str(theirs.fileno()),
                    str(ROOT),
                    str(self.folder),
                    *CHILD_OPTIONS,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._descriptor, line, descriptors = -1, None, list[int]()
        with contextlib.suppress(TimeoutError):
            line, descriptors = await self._said(START_SECONDS, lines.Ready)
        if line is None or not descriptors:
            raise LabError(f"The child process for the learner's code did not start: {self.printed()[-300:]}")
        self._descriptor = descriptors[0]
        self.isolated, self.why_not, self._place = line.isolated, printable(line.why_not), line.place

    async def load(self) -> None:
        """Import the learner's package. Raises Trouble."""
        self._order(lines.Import())
        try:
            line, unasked = await self._said(IMPORT_SECONDS, lines.Imported | lines.Failed)
        except TimeoutError:
            raise Trouble(
                f"Your code is still being imported after {IMPORT_SECONDS:g} s: does it wait for something?"
            ) from None
        for descriptor in unasked:
            os.close(descriptor)
        if isinstance(line, lines.Failed):
            raise crashed("Your code, while it was imported,", line)
        if line is None:
            raise Trouble("Your code ended the program while it was imported (os._exit, or too much memory).")

    def program(self, what: str, hosts: "Hosts | None" = None) -> "Program":
        """Fork a program; what it is is said in a Trouble: `Your server`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._made += 1
        with theirs:
            self._order(lines.Fork(self._made), theirs.fileno())
        made = self._programs[self._made] = Program(ours, what, hosts, partial(self._end, self._made))
        return made

    def _end(self, number: int) -> None:
        if self._programs.pop(number, None):
            with contextlib.suppress(Trouble):
                self._order(lines.Kill(number))

    def _order(self, order: lines.ToNursery, *descriptors: int) -> None:
        try:
            socket.send_fds(self._orders, [encode(order)], descriptors)
        except OSError:
            raise Trouble("Your code ended the process that everybody's program is started from.") from None

    async def _said(self, seconds: float, kind: Any) -> tuple[Any, list[int]]:
        """What the process answers; None where it has ended, or answers in another way. Raises TimeoutError."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._orders, readable.set)
        try:
            async with asyncio.timeout(seconds):
                await readable.wait()
            data, descriptors, _, _ = socket.recv_fds(self._orders, lines.LINE_BYTES, 1)
            return lines.decoded(msgspec.json.Decoder(kind), data), descriptors
        except (ConnectionError, lines.Nonsense):
            return None, []
        finally:
            loop.remove_reader(self._orders)

    def printed(self) -> str:
        """The end of what the learner's code printed, tracebacks among it."""
        with (self.folder / "printed").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * PRINTED))
            text = file.read().decode(errors="replace")
        return "\n".join(printable(line) for line in text.splitlines())[-PRINTED:]

    def taken(self, place: str, most: int = 1 << 20) -> dict[str, bytes]:
        """The files in a folder that the learner's code has written. Only ordinary ones, and no link is followed:
        they could lead to the bench's own, or to something that never ends."""
        found: dict[str, bytes] = {}
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.ExitStack() as opened:
            try:
                folder = self._descriptor
                for part in Path(place).parts:
                    folder = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
                    opened.callback(os.close, folder)
                names = sorted(os.listdir(folder))[:50]
            except OSError:
                return {}
            for name in names:
                with contextlib.suppress(OSError):
                    file = os.open(name, flags, dir_fd=folder)
                    opened.callback(os.close, file)
                    if stat.S_ISREG(os.fstat(file).st_mode):
                        found[name] = os.read(file, most)
        return found

    def place(self, name: str) -> str:
        """A folder as the learner's code has it."""
        return f"{self._place}/{name}"

    def close(self) -> None:
        """End everything that was started in it, and wait until it is gone."""
        for made in list(self._programs.values()):
            made.close()
        self._orders.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the namespaces, and all in them, end with it
        self._process.wait()
        if self._descriptor >= 0:
            os.close(self._descriptor)
