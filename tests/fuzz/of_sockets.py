"""Targets: the real runtime on real sockets, from stage 4 on in TLS. Alice and Bob chat there before, during and after.

The first byte of an input says how the rest is sent: inside TLS, in place of TLS, or as raw bytes behind a good TLS
handshake. Without TLS it says nothing.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import stages
from common.client import TLS_NAME, Client
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Person
from stages import Stage
from tests.fuzz.cases import Make, holed, pieces
from tests.fuzz.house import Ledger, told_properly
from tests.fuzz.of_frames import handshake
from tests.fuzz.of_wire import of_server
from tests.fuzz.target import Check, Target
from tests.room import Member, leave

INSIDE, INSTEAD, BEHIND = range(3)
LIMITS: Final = Limits(
    join_seconds=30, linger_seconds=0.5, bytes_per_second=1e9, burst_bytes=1e9, says_per_second=1 << 60
)
"""Nothing here ends by time, but for a refused peer that does not hang up."""
SECONDS: Final = 20.0


RUNNING: Final[list["Running"]] = []
"""What `stop_all` has to stop."""


class Running:
    """A server of a stage on a port of this machine, and two honest members."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.levers = Levers({}, stage.levers)
        self.faults: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: self.faults.append(str(context)))
        self.said = 0
        RUNNING.append(self)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        (self.folder / "server").mkdir()
        server: Any = self.stage.server(self.levers, self.folder / "server")
        self.ledger = Ledger()
        server.accounts = self.ledger
        self.runtime = ServerRuntime(server, LIMITS)
        listener = await ThisMachine().listen(0)
        self.address = listener.getsockname()
        await self.runtime.start(listener, self.stage.server_tls(self.levers, self.folder / "server"))
        self.alice, self.bob = [await self.member(name) for name in ("alice", "bob")]
        await self.chats()

    async def member(self, name: str) -> Member:
        """Somebody honest comes in."""
        folder, member = self.folder / name, Member()
        folder.mkdir()
        person = partial(Person, name, password=f"of {name}", register=True, folder=folder)
        self.tls = self.stage.client_tls(self.levers, person(1))
        member.client = await Client.start(
            ThisMachine(),
            self.address,
            lambda port: self.stage.client(self.levers, person(port)),
            member.show,
            tls=self.tls,
        )
        while not (await member.next()).text.startswith("here: "):
            pass
        return member

    async def chats(self) -> None:
        """Each hears the other, through the server and past it."""
        for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
            for how in ("", f"/whisper {listener.client.session.name} "):
                self.said += 1
                speaker.says(f"{how}still here {self.said}")
                while (show := await listener.next()).text != f"still here {self.said}":
                    assert show.kind in {"notice", "alarm", "room", "direct"}
        for member in (self.alice, self.bob):
            del member.seen[: member._read]
            member._read = 0

    async def attacked(self, data: bytes, rng: Random) -> None:
        """An intruder sends this and hangs up; meanwhile the others talk."""
        sock = socket.socket()
        sock.setblocking(False)
        await self.loop.sock_connect(sock, self.address)
        how, rest = (data[0] % 3 if data and self.tls else INSTEAD), data[1:]
        with contextlib.suppress(OSError):  # TLS refused, or the server closed while we were still sending
            if how == INSIDE:
                reader, writer = await asyncio.open_connection(sock=sock, ssl=self.tls, server_hostname=TLS_NAME)
                await self.converse(reader, writer, pieces(rest, rng))
            else:
                if how == BEHIND:
                    await self.greet(sock)
                reader, writer = await asyncio.open_connection(sock=sock)
                await self.converse(reader, writer, pieces(rest, rng) if len(rest) < 2000 else [rest])
        sock.close()
        for connection in self.runtime.open - {self.runtime.connections.get(s) for s in self.honest()}:
            await connection.lost
        assert len(self.runtime.open) == 2
        await self.chats()
        for name in set(self.ledger.passwords) - {"alice", "bob"}:
            del self.ledger.passwords[name]
        assert not self.faults, self.faults.pop()

    def honest(self) -> list[Any]:
        """The two members' sessions."""
        room: Any = self.runtime.server
        return [room.room.session(name) for name in ("alice", "bob")]

    async def greet(self, sock: socket.socket) -> None:
        """A good TLS handshake, by hand, so that what comes behind it can be anything."""
        assert self.tls
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.tls.wrap_bio(incoming, outgoing, server_hostname=TLS_NAME)
        while True:
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                await self.loop.sock_sendall(sock, outgoing.read())
                incoming.write(await self.loop.sock_recv(sock, 65536))
            else:
                await self.loop.sock_sendall(sock, outgoing.read())
                return

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: list[bytes]) -> None:
        """Send all, let the others talk, hang up or end our direction, and read what was said to us."""
        try:
            for part in parts[:50]:
                writer.write(part)
                await writer.drain()
            writer.write(b"".join(parts[50:]))
            await self.chats()
            if writer.can_write_eof():
                writer.write_eof()
                told = await reader.read()
                if not self.tls:
                    told_properly(told.splitlines(keepends=True))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def stop(self) -> None:
        """Everybody goes home."""

        async def going() -> None:
            await leave(self.alice)
            await leave(self.bob)
            await self.runtime.stop()

        self.loop.run_until_complete(going())
        self.loop.close()


def stop_all() -> None:
    """End every server; nothing of them is left."""
    while RUNNING:
        RUNNING.pop().stop()


def of_sockets(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """Whoever connects to the running server sends this."""
    made, _ = of_server(stage, folder)
    (folder / "running").mkdir()
    running = Running(stage, folder / "running")
    client_says = [data for by_client, data in handshake() if by_client] if running.tls else [b"\x16\x03\x01"]

    def make(rng: Random) -> bytes:
        how = rng.randrange(3)
        rest = made(rng) if how == INSIDE or not running.tls else rng.choice((*client_says, b"".join(client_says)))
        return bytes([how]) + (rest if how == INSIDE or not running.tls else holed(rest, rng))

    def check(data: bytes, rng: Random) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(SECONDS):
                await running.attacked(data, rng)

        running.loop.run_until_complete(bounded())

    return make, check


def targets() -> Iterator[Target]:
    """Each stage's server."""
    for number, stage in stages.catalogue().items():
        yield Target(f"sockets-{number}", partial(of_sockets, stage), 3)
