"""One person's program, or the server's, in the process that was forked for it: the learner's sessions on the ordinary
runtime (`common.runtime`), on a host whose sockets the bench makes and hands over."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from common.client import Client
from common.errors import LabError
from common.hosts import Host
from common.levers import Levers
from common.runtime import ServerRuntime
from common.session import Person, Show
from lab.exercise import calls, lines
from lab.exercise.lines import encode

PACKAGE: Final = "submission"
"""What the learner's package is called here."""


class Bench:
    """The other end, as a program has it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._decoder = msgspec.json.Decoder(lines.FromBench)
        self._asked: dict[int, asyncio.Future[tuple[lines.Answer, socket.socket | None]]] = {}
        self._told: asyncio.Queue[Any] = asyncio.Queue()

    def listen(self) -> None:
        """Begin to take what comes."""
        asyncio.get_running_loop().add_reader(self.sock, self._take)

    def tell(self, line: lines.FromProgram) -> None:
        """Say something; where the socket is full, wait until the bench has read. Where it has gone, nobody cares."""
        with contextlib.suppress(OSError):
            self.sock.send(encode(line))

    async def told(self) -> Any:
        """The next thing that the bench says."""
        return await self._told.get()

    async def closed(self) -> None:
        """Wait until the bench closes its end: then this process ends."""
        while True:
            await self._told.get()

    async def ask(self, do: str, address: str = "", port: int = 0) -> tuple[lines.Answer, socket.socket | None]:
        """Have a socket made, or a name looked up. Raises LabError."""
        number = len(self._asked)
        self._asked[number] = asyncio.get_running_loop().create_future()
        self.tell(lines.Ask(number, do, address, port))
        answer, sock = await self._asked[number]
        if answer.refused:
            raise LabError(answer.refused)
        return answer, sock

    def _take(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self.sock, lines.LINE_BYTES, 1, socket.MSG_DONTWAIT)
        if not data:
            os._exit(0)  # the bench has no use for this program any more
        line = self._decoder.decode(data)
        if isinstance(line, lines.Answer):
            sock = socket.socket(fileno=descriptors[0]) if descriptors else None
            self._asked[line.id].set_result((line, sock))
        elif isinstance(line, lines.Ping):
            self.tell(lines.Pong())
        else:
            self._told.put_nowait(line)


class DistantHost(Host):
    """A host of the bench's network: every socket is made there, and handed over."""

    def __init__(self, name: str, bench: Bench) -> None:
        super().__init__(name, "")
        self._bench = bench

    async def _made(self, do: str, address: str = "", port: int = 0) -> socket.socket:
        _, sock = await self._bench.ask(do, address, port)
        if sock is None:
            raise LabError("No socket was handed over; this should not happen.")
        sock.setblocking(False)
        return sock

    async def listen(self, port: int) -> socket.socket:
        return await self._made("listen", port=port)

    async def connect(self, address: str, port: int) -> socket.socket:
        return await self._made("connect", address, port)

    async def bind_udp(self, port: int = 0) -> socket.socket:
        return await self._made("bind_udp", port=port)

    def packet_socket(self) -> socket.socket:
        raise LabError("Nobody's client listens to a network card.")

    async def resolve(self, name: str) -> str:
        answer, _ = await self._bench.ask("resolve", name)
        return answer.text


def failed(error: BaseException) -> lines.Failed:
    """What the learner is told of an exception of theirs: the last line of their own files that it went through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if f"/{PACKAGE}/" in frame.filename]
    if isinstance(error, SyntaxError) and f"/{PACKAGE}/" in str(error.filename):
        file = str(error.filename).rpartition(f"/{PACKAGE}/")[2]
        return lines.Failed(type(error).__name__, str(error.msg)[:300], file[:300], "", error.lineno or 0)
    if not own:
        return lines.Failed(type(error).__name__, _words(error))
    function = _qualified(error, own[-1].lineno or 0)
    file = own[-1].filename.rpartition(f"/{PACKAGE}/")[2]
    return lines.Failed(type(error).__name__[:300], _words(error), file[:300], function[:300], own[-1].lineno or 0)


def _words(error: BaseException) -> str:
    try:
        return str(error)[:300].encode(errors="replace").decode()
    except Exception:  # the learner's own exception class may be wrong, too
        return ""


def _qualified(error: BaseException, line: int) -> str:
    """`RoomKey.seal`: the last function of the learner's that was running."""
    at, name = error.__traceback__, ""
    while at:
        if f"/{PACKAGE}/" in at.tb_frame.f_code.co_filename:
            name = at.tb_frame.f_code.co_qualname
        at = at.tb_next
    return name


def made(folder: str) -> Path:
    """This folder, made now where it is missing."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


class Program:
    """One person's program, or the server's, or one that answers calls."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._over: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Do what the bench says, until it closes its end."""
        self.bench.listen()
        asyncio.get_running_loop().set_exception_handler(self._crashed)
        match await self.bench.told():
            case lines.Import():
                load()
                self.bench.tell(lines.Imported())
            case lines.Serve() as order:
                await self._serve(order)
            case lines.Join() as order:
                await self._join(order)
            case first:
                await self._answer(first)

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback would else be printed, and the program go on half dead."""
        error = context.get("exception")
        if error is not None:
            stopped(self.bench, error)

    async def _serve(self, order: lines.Serve) -> None:
        compose = importlib.import_module(f"{PACKAGE}.compose")
        folder = made(order.folder)
        levers = Levers({}, compose.LEVERS)
        server = compose.server(levers, folder)
        tls = compose.server_tls(levers, folder) if hasattr(compose, "server_tls") else None
        runtime = ServerRuntime(server)
        await runtime.start(await DistantHost("server", self.bench).listen(order.port), tls)
        self.bench.tell(lines.Started())
        while True:
            match await self.bench.told():
                case lines.Remove(name=name):
                    runtime.perform(None, server.remove(name))

    async def _join(self, order: lines.Join) -> None:
        compose = importlib.import_module(f"{PACKAGE}.compose")
        folder = made(order.folder)
        if order.ca:
            (made(str(folder.parent / "ca")) / "ca.pem").write_text(order.ca)
        person = Person(order.name, 0, order.password, register=order.register, folder=folder)
        levers = Levers({}, compose.LEVERS)
        try:
            tls = compose.client_tls(levers, person) if hasattr(compose, "client_tls") else None
            program = compose.client_program(levers) if hasattr(compose, "client_program") else Client
            host = DistantHost(order.host, self.bench)

            def session(udp_port: int) -> Any:
                return compose.client(levers, replace(person, udp_port=udp_port))

            client = await program.start(host, order.server, session, self._show, tls=tls)
        except LabError as error:
            self.bench.tell(lines.Refused(str(error)))
            await self.bench.closed()
            return
        self.bench.tell(lines.Started())
        self._over = asyncio.create_task(self._say_when_over(client))
        while True:
            match await self.bench.told():
                case lines.Typed(text=text):
                    client.typed(text)
                case lines.Leave():
                    client.close()

    async def _say_when_over(self, client: Client) -> None:
        await client.ended.wait()
        self.bench.tell(lines.Ended())

    def _show(self, show: Show) -> None:
        self.bench.tell(lines.Shown(show.kind, show.text, show.sender))

    async def _answer(self, order: Any) -> None:
        while True:
            self.bench.tell(calls.answer(PACKAGE, order))
            order = await self.bench.told()


def print_own(error: BaseException) -> None:
    """The traceback, as far as it is about the learner's own files."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if f"/{PACKAGE}/" in frame.filename]
    for frame in own:
        frame.filename = frame.filename.rpartition(f"/{PACKAGE}/")[2]
    rows = [*traceback.format_list(own), *traceback.format_exception_only(error)]
    print("".join(rows), file=sys.stderr, flush=True)


def stopped(bench: Bench, error: BaseException) -> NoReturn:
    """The learner's code raised what nobody caught: say so, and end."""
    with contextlib.suppress(Exception):
        print_own(error)
    bench.tell(failed(error))
    os._exit(1)


def load() -> None:
    """Import the learner's package: all of its files, so that what cannot be imported is found now."""
    package = importlib.import_module(PACKAGE)
    for file in sorted(Path(package.__path__[0]).glob("*.py")):
        if file.stem != "__init__":
            importlib.import_module(f"{PACKAGE}.{file.stem}")


def program(sock: socket.socket, given: Path) -> NoReturn:
    """What a forked process does, in its home, until the bench closes its end. In `given` is the learner's package."""
    home = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    socket.send_fds(sock, [encode(lines.Home())], [home])
    os.close(home)
    sys.path.append(str(given))
    bench = Bench(sock)
    try:
        asyncio.run(Program(bench).run())
    except BaseException as error:
        stopped(bench, error)
    os._exit(0)
