"""A room on real sockets, for tests: a server, members who see and talk, peers that send whatever they like."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from common.client import Client
from common.hosts import ThisMachine
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Address, Show
from common.session import ClientSession as AnyClientSession
from common.session import Server as AnyServer
from common.wire import LineReader, Reader
from stages.stage1_plaintext.client import ClientSession
from stages.stage1_plaintext.server import Server

T = TypeVar("T")

MakeSession = Callable[[str, int], AnyClientSession]
"""What makes a client's session out of a name and a UDP port."""

SECONDS = 10.0
"""No test of a room may take longer, however slow the machine is."""


def run(work: Coroutine[Any, Any, T], seconds: float = SECONDS) -> T:
    """Run a test's coroutine; fail where it hangs."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


class Member:
    """A member with the real client; `seen` is what the person saw."""

    def __init__(self) -> None:
        self.client: Client
        self.seen: list[Show] = []
        self._news = asyncio.Event()
        self._read = 0

    def show(self, show: Show) -> None:
        """What the client calls."""
        self.seen.append(show)
        self._news.set()

    def says(self, text: str) -> None:
        """Type a line."""
        self.client.typed(text)

    async def sees(self, *texts: str) -> None:
        """Exactly these texts come next, in this order."""
        got = [(await self.next()).text for _ in texts]
        assert got == list(texts)

    async def next(self) -> Show:
        """What is shown next."""
        while self._read == len(self.seen):
            self._news.clear()
            await self._news.wait()
        self._read += 1
        return self.seen[self._read - 1]

    def unread(self) -> list[Show]:
        """What was shown, and no test has asked for yet."""
        return self.seen[self._read :]


class Peer:
    """A connection that sends whatever it is told to, and reads messages as plain dictionaries."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    @classmethod
    async def connect(cls, address: Address, *, receive_buffer: int = 0) -> "Peer":
        """Connect, perhaps with a small receive buffer, so that not reading is felt soon."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    async def send(self, *messages: bytes | dict[str, Any]) -> None:
        """Send raw bytes, or messages a line each, all at once."""
        data = b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def next(self) -> dict[str, Any] | None:
        """The next message; None at the end of the stream."""
        while b"\n" not in self._buffer:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20)
            if not data:
                assert not self._buffer, f"the stream ended in the middle of a line: {self._buffer[:80]!r}"
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """Skip to the next message of this type."""
        while (message := await self.next()) is not None:
            if message["type"] == kind:
                return message
        raise AssertionError(f"the connection ended, and no {kind} had come")

    async def rest(self) -> list[dict[str, Any]]:
        """Every message until the stream ends."""
        messages = []
        while (message := await self.next()) is not None:
            messages.append(message)
        return messages

    async def join(self, name: str) -> dict[str, Any]:
        """Join and return the roster."""
        await self.send(joining(name))
        return await self.until("roster")

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def joining(name: str, udp_port: int = 9) -> dict[str, Any]:
    """The message that joins."""
    return {"type": "join", "name": name, "udp_port": udp_port}


def registering(name: str, password: str = "sesame", udp_port: int = 9) -> dict[str, Any]:
    """The message that makes an account."""
    return {"type": "register", "name": name, "password": password, "udp_port": udp_port}


def logging_in(name: str, password: str = "sesame", udp_port: int = 9) -> dict[str, Any]:
    """The message that comes back to an account."""
    return {"type": "login", "name": name, "password": password, "udp_port": udp_port}


def saying(sender: str, text: str, **more: str) -> dict[str, Any]:
    """The message that speaks."""
    return {"type": "say", "from": sender, "text": text, **more}


class House:
    """A running server, and whoever came."""

    def __init__(
        self, runtime: ServerRuntime, address: Address, stack: contextlib.AsyncExitStack, session: MakeSession
    ) -> None:
        self.runtime = runtime
        self.address = address
        self._stack = stack
        self._session = session

    async def member(self, name: str, reader: Callable[[], Reader] = LineReader) -> Member:
        """Somebody with the real client joins; everything that this makes them see has been seen."""
        member = await self.visitor(name, reader)
        assert (await member.next()).text.startswith("here: ")
        return member

    async def visitor(
        self, name: str, reader: Callable[[], Reader] = LineReader, session: MakeSession | None = None
    ) -> Member:
        """Somebody with the real client connects, and may be let in or not."""
        member, make = Member(), session or self._session
        member.client = await Client.start(
            *(ThisMachine(), self.address, lambda port: make(name, port), member.show, reader),
            limits=self.runtime.limits,
        )
        self._stack.push_async_callback(leave, member)
        return member

    async def peer(self, name: str = "", *, receive_buffer: int = 0) -> Peer:
        """A raw connection; joined already where it has a name."""
        peer = await Peer.connect(self.address, receive_buffer=receive_buffer)
        self._stack.callback(peer.close)
        if name:
            await peer.join(name)
        return peer

    async def bystanders(self) -> tuple[Member, Member]:
        """Alice and Bob, who mind their own business."""
        alice, bob = await self.member("alice"), await self.member("bob")
        await alice.sees("bob joined, from 127.0.0.1")
        return alice, bob


async def leave(member: Member) -> None:
    """The member's client ends."""
    member.client.close()
    await member.client.ended.wait()


@contextlib.asynccontextmanager
async def room(
    limits: Limits | None = None,
    *,
    send_buffer: int = 0,
    server: AnyServer | None = None,
    session: MakeSession = ClientSession,
) -> AsyncIterator[House]:
    """A server on a free port of this machine, of stage 1 where nothing else is said; `session` makes its clients.

    send_buffer: shrinks what the kernel holds for a member.
    """
    listener = await ThisMachine().listen(0)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # accepted sockets inherit it
    runtime = ServerRuntime(server or Server(), limits or Limits())
    address = listener.getsockname()
    await runtime.start(listener)
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield House(runtime, address, stack, session)
    finally:
        await runtime.stop()
