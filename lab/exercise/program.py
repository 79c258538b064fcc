"""A program of the learner's, as the bench sees it: what it is told, what it says, and the sockets that it is handed.

Everything that it says is checked against `lines` and bounded. Whatever is wrong with it (nonsense, silence, a crash, a
flood) ends as one `Trouble`: a sentence for the person whose code it is.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from common.errors import LabError
from common.hosts import Host
from common.text import printable
from lab.exercise import lines
from lab.exercise.lines import encode

ANSWER_SECONDS: Final = 5.0
PING_SECONDS: Final = 0.5
MESSAGES: Final = 4000
"""The most that one program may say: far more than a scene needs."""
SOCKETS: Final = 100
"""The most sockets that one program may have made."""
PRINTED: Final = 2000
"""How many of the last characters that the learner's code printed are kept."""
MOST_TAKEN: Final = 50
"""How many files of a folder are looked at."""
NOT_WRITTEN: Final = "Not written yet:"


class Trouble(Exception):
    """What the learner's code did wrong, in one sentence. `failed` says where, if it crashed."""

    def __init__(self, sentence: str, failed: lines.Failed | None = None) -> None:
        super().__init__(sentence)
        self.failed = failed


def crashed(what: str, failed: lines.Failed) -> Trouble:
    """`Your client stopped: NotImplementedError in RoomKey.seal, room_key.py line 41: write …`."""
    where = f" in {failed.function}" if failed.function not in ("", "<module>") else ""
    if failed.file:
        where += f" ({failed.file}, line {failed.line})"
    text = f": {printable(failed.text)}" if failed.text else ""
    if failed.error == "NotImplementedError":
        return Trouble(
            f"{NOT_WRITTEN} {printable(failed.text or failed.function)} ({printable(failed.file)}, "
            f"line {failed.line}).",
            failed,
        )
    if failed.error == "SystemExit":
        return Trouble(f"{what} ended itself (sys.exit){printable(where)}, and is to run until it is told to stop.")
    if failed.error == "OSError" and "File too large" in failed.text:
        return Trouble(f"{what} wrote more than a megabyte{printable(where)}, and was stopped.", failed)
    return Trouble(f"{what} stopped: {printable(failed.error + where)}{text}", failed)


class Hosts:
    """What a program may ask of the network: sockets of one host. A server listens where the stage does, a client
    connects there and has UDP; neither gets another way to its fellows than the one that an attacker sees."""

    def __init__(self, host: Host, zone: Mapping[str, str], port: int, *, serves: bool) -> None:
        self.host = host
        self.zone = zone
        self.port = port
        self.serves = serves
        self.udp_port = 0
        self.kept: list[socket.socket] = []

    async def do(self, ask: lines.Ask) -> tuple[str, socket.socket | None]:
        """A text, or a socket. Raises LabError."""
        match ask.do:
            case "listen" if self.serves and ask.port == self.port:
                sock = await self.host.listen(ask.port)
                self.kept.append(sock)  # the program's own copy may outlive the scene by a moment
                return "", sock
            case "connect" if not self.serves and ask.port == self.port and ask.address in self.zone.values():
                return "", await self.host.connect(ask.address, ask.port)
            case "bind_udp" if not self.serves:
                sock = await self.host.bind_udp(ask.port)
                self.udp_port = sock.getsockname()[1]
                self.kept.append(sock)  # the loopback network carries datagrams as long as this object is there
                return "", sock
            case "resolve" if len(ask.address) < 100:
                return await self.host.resolve(ask.address), None
        raise LabError("That is outside the lab, or not for this program.")

    def close(self) -> None:
        """Give back what was kept."""
        while self.kept:
            with self.kept.pop() as sock, contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # a listener stops to listen, whoever else has it


class Program:
    """A program of the learner's, as the bench sees it. home: the path of its home, as it has it."""

    def __init__(
        self, sock: socket.socket, what: str, hosts: Hosts | None, home: str, printed: Path, end: Callable[[], None]
    ) -> None:
        self.what = what
        self.hosts = hosts
        self.home = home
        self.trouble: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.heard: Callable[[Any], None] = lambda line: None
        self._sock = sock
        self._sock.setblocking(False)
        self._printed = printed
        self._end = end
        self._home = -1
        self._decoder = msgspec.json.Decoder(lines.FromProgram)
        self._count = 0
        self._asks = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered = asyncio.Event()
        self.open = True
        asyncio.get_running_loop().add_reader(self._sock, self._take)

    def place(self, name: str) -> str:
        """A folder in its home, as it has it."""
        return f"{self.home}/{name}"

    def taken(self, place: str, most: int = 1 << 20) -> dict[str, bytes]:
        """The files in a folder of its home. Only ordinary ones, and no link is followed: they could lead to the
        bench's own, or to something that never ends."""
        found: dict[str, bytes] = {}
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.ExitStack() as opened:
            try:
                folder = os.open(place, flags | os.O_DIRECTORY, dir_fd=self._home)
                opened.callback(os.close, folder)
                names = sorted(os.listdir(folder))[:MOST_TAKEN]
            except OSError:
                return {}
            for name in names:
                with contextlib.suppress(OSError):
                    file = os.open(name, flags, dir_fd=folder)
                    opened.callback(os.close, file)
                    if stat.S_ISREG(os.fstat(file).st_mode):
                        found[name] = os.read(file, most)
        return found

    def printed(self) -> str:
        """The end of what it printed, tracebacks among it; where it has ended, only once."""
        with contextlib.suppress(OSError), self._printed.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * PRINTED))
            text = file.read().decode(errors="replace")
            return "\n".join(printable(line) for line in text.splitlines())[-PRINTED:]
        return ""

    def check(self) -> None:
        """Raises Trouble where it is in any."""
        if self.trouble.done():
            raise self.trouble.result()

    def tell(self, line: lines.FromBench, *descriptors: int) -> None:
        """Say something to it."""
        if not self.open:
            return
        try:
            socket.send_fds(self._sock, [encode(line)], descriptors)
        except OSError:
            self.in_trouble(Trouble(f"{self.what} does not take what it is told any more: it hangs, or has gone."))

    def in_trouble(self, trouble: Trouble) -> None:
        if not self.trouble.done():
            self.trouble.set_result(trouble)

    def _take(self) -> None:
        try:
            data = self._sock.recv(lines.LINE_BYTES) if self._home >= 0 else self._first()
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.in_trouble(Trouble(f"{self.what} ended without a word (os._exit, or too much memory or time)."))
            asyncio.get_running_loop().remove_reader(self._sock)
            return
        self._count += 1
        if self._count > MESSAGES:
            self.in_trouble(Trouble(f"{self.what} showed more than {MESSAGES} things, and was stopped."))
            asyncio.get_running_loop().remove_reader(self._sock)
            return
        try:
            line = lines.decoded(self._decoder, data)
        except lines.Nonsense:
            self.in_trouble(Trouble(f"{self.what} said something that no client and no server says."))
            return
        self._heard(line)

    def _first(self) -> bytes:
        """Its first words, which the learner's code cannot say: a descriptor of its home comes with them, if all is
        well. Whatever later comes with its words is thrown away by the kernel."""
        data, descriptors, _, _ = socket.recv_fds(self._sock, lines.LINE_BYTES, 1)
        if descriptors:
            self._home = descriptors[0]
        elif data:
            self.in_trouble(Trouble(f"{self.what} could not be shut in, which is the lab's fault, and not yours."))
        return data

    def _heard(self, line: lines.FromProgram) -> None:
        match line:
            case lines.Home():
                pass
            case lines.Failed():
                self.in_trouble(crashed(self.what, line))
            case lines.Ask():
                self._asks += 1
                if self._asks > SOCKETS or self.hosts is None:
                    self.in_trouble(Trouble(f"{self.what} asked for more than {SOCKETS} sockets, and was stopped."))
                    return
                task = asyncio.get_running_loop().create_task(self._serve(self.hosts, line))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case lines.Pong():
                self._answered.set()
            case _:
                self.heard(line)

    async def _serve(self, hosts: Hosts, ask: lines.Ask) -> None:
        try:
            text, sock = await hosts.do(ask)
        except LabError as error:
            self.tell(lines.Answer(ask.id, refused=str(error)))
            return
        if sock is None:
            self.tell(lines.Answer(ask.id, text))
            return
        self.tell(lines.Answer(ask.id), sock.fileno())
        if sock not in hosts.kept:
            sock.close()

    async def hangs(self) -> bool:
        """Does it not answer, though it has nothing else to do?"""
        self._answered.clear()
        self.tell(lines.Ping())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_SECONDS):
                await self._answered.wait()
        return self.open and not self._answered.is_set()

    def close(self) -> None:
        """It is not needed any more."""
        if not self.open:
            return
        self.open = False
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()
        if self._home >= 0:
            os.close(self._home)
        for task in self._tasks:
            task.cancel()
        if self.hosts:
            self.hosts.close()
        self._end()

    async def call(self, name: str, *arguments: Any) -> lines.Returned:
        """Call a function of the learner's. Raises Trouble where it does not return."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def heard(line: Any) -> None:
            if isinstance(line, lines.Returned) and not answered.done():
                answered.set_result(line)

        self.heard = heard
        self.tell(lines.Call(name, list(arguments)))
        done, _ = await asyncio.wait(
            [answered, self.trouble], timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if answered in done:
            returned: lines.Returned = answered.result()
            return returned
        self.check()
        raise Trouble(f"{self.what} did not come back from {name} within {ANSWER_SECONDS:g} s.")
