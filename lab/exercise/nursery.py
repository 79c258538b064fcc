"""The bench's side of the child process: starts it, has programs forked in it, and reads what they wrote."""

import asyncio
import contextlib
import os
import signal
import socket
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
from lab.exercise.program import PRINTED, Hosts, Program, Trouble
from lab.runs import ROOT

START_SECONDS: Final = 10.0
IMPORT_SECONDS: Final = 5.0
CHILD_OPTIONS: tuple[str, ...] = ()
"""What the child is started with beside its folders: `--no-namespaces` does without them, as where none can be had."""
KEPT: Final = 50
"""How many programs' prints are kept."""
GIVEN: Final = "given"
SUBMISSION: Final = f"{GIVEN}/submission"


class Nursery:
    """The child process of one check. `launch` it first, then `start` it, `close` it last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """A folder of the bench's own: `given` in it is what the child's code is to have, `printed` what it printed."""
        self.isolated = False
        self.why_not = ""
        self._programs: dict[int, Program] = {}
        self._printed: list[str] = []
        self._made = 0

    def launch(self) -> None:
        """Start the process; what else has to be made ready can be, until it is awaited."""
        for name in ("scratch", "root", "printed"):
            (self.folder / name).mkdir()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setblocking(False)
        child = str(Path(__file__).with_name("child.py"))
        with theirs, (self.folder / "complaints").open("ab") as complaints:
            self._process = subprocess.Popen(
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
                stdout=complaints,
                stderr=complaints,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                start_new_session=True,
            )

    async def start(self) -> None:
        """Wait until it stands. Raises LabError."""
        line = None
        with contextlib.suppress(TimeoutError):
            line = await self._ready()
        if line is None:
            complaints_made = printable((self.folder / "complaints").read_text(errors="replace"))
            raise LabError(f"The child process for the learner's code did not start: {complaints_made[-300:]}")
        self.isolated, self.why_not, self._place = line.isolated, printable(line.why_not), line.place

    async def load(self) -> None:
        """Import the learner's package, in a program of its own. Raises Trouble."""
        program = self.program("Your code, while it was imported,")
        imported: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        program.heard = lambda line: None if imported.done() else imported.set_result(line)
        program.tell(lines.Import())
        await asyncio.wait([imported, program.trouble], timeout=IMPORT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        program.close()
        if program.trouble.done():  # also where it said that it was imported right after
            raise program.trouble.result()
        if not imported.done():
            raise Trouble(f"Your code is still being imported after {IMPORT_SECONDS:g} s: does it wait for something?")

    def program(self, what: str, hosts: "Hosts | None" = None, home: str = "") -> "Program":
        """Fork a program; what it is is said in a Trouble: `Your server`. home: the name of another's home, where it is
        the same one started again."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._made += 1
        home = home or f"program-{self._made}"
        printed = self.folder / "printed" / f"{self._made:04}"
        with theirs, printed.open("ab") as file:
            self._order(lines.Fork(self._made, home), theirs.fileno(), file.fileno())
        end = partial(self._end, self._made)
        made = Program(ours, what, hosts, self._place.format(home=home), printed, end)
        self._programs[self._made] = made
        return made

    def clear(self, homes: str) -> None:
        """Throw away the homes whose names begin so."""
        with contextlib.suppress(Trouble):
            self._order(lines.Clear(homes))

    def _end(self, number: int) -> None:
        if made := self._programs.pop(number, None):
            self._printed = [*self._printed, made.printed()][-KEPT:]
            with contextlib.suppress(Trouble):
                self._order(lines.Kill(number))

    def _order(self, order: lines.ToNursery, *descriptors: int) -> None:
        try:
            socket.send_fds(self._orders, [encode(order)], descriptors)
        except OSError:
            raise Trouble("Your code ended the process that everybody's program is started from.") from None

    async def _ready(self) -> lines.Ready | None:
        """What the process says first; None where it has ended. Raises TimeoutError."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._orders, readable.set)
        try:
            async with asyncio.timeout(START_SECONDS):
                await readable.wait()
            data = self._orders.recv(lines.LINE_BYTES)
            return msgspec.json.decode(data, type=lines.Ready) if data else None
        except ConnectionError:
            return None
        finally:
            loop.remove_reader(self._orders)

    def printed(self) -> str:
        """The end of what the learner's programs printed, one after the other."""
        return "\n".join(filter(None, self._printed))[-PRINTED:]

    def close(self) -> None:
        """End everything that was started in it, and wait until it is gone."""
        if self._process.returncode is not None:
            return
        for made in list(self._programs.values()):
            made.close()
        self._orders.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the namespaces, and all in them, end with it
        self._process.wait()
