"""A client's UDP port.

A kernel keeps what comes for a socket in a queue, and what comes while that is full is lost without a word: so a flood
from anybody would drown everybody's whispers. Each of the first members therefore has a queue of their own here.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from common.errors import LabError
from common.limits import DATAGRAM_BYTES, Limits
from common.messages import Left, Message, Presence
from common.session import Address, ClientSession, Show, notice

CHUNK: Final = 64 * 1024
"""More than a datagram holds."""
QUEUED: Final = 1000
"""More datagrams than a socket's queue holds."""


class Hears(Protocol):
    """The client, seen from here."""

    session: ClientSession
    show: Callable[[Show], None]

    def heard(self, data: bytes, source: Address) -> None:
        """A datagram arrived."""


class Whispers(asyncio.DatagramProtocol):
    """The client's UDP port: one socket for whoever sends, and one for each of the first members."""

    transport: asyncio.DatagramTransport
    queues: ClassVar[int] = 0
    """How many there are in this process: a crowd of clients in one must not take all its descriptors."""

    def __init__(self, client: Hears, queue: Callable[[Address], socket.socket | None], limits: Limits) -> None:
        self.client = client
        self._queue = queue
        self._limits = limits
        self._there: set[str] = set()
        """The names of those who are there; counted, because a server could go on for ever."""
        self._queues: dict[str, socket.socket] = {}
        """By the member's name."""

    # asyncio says BaseTransport, and hands every datagram protocol this one
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.client.heard(data, addr)

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram, unless it is too long to arrive in one piece."""
        if len(data) > DATAGRAM_BYTES:
            self.client.show(notice(f"A whisper is at most {DATAGRAM_BYTES} bytes in all; yours was not sent."))
        else:
            self.transport.sendto(data, address)

    def who_is_there(self, message: Message) -> None:
        """The server says who is there, or who has come or gone. Raises LabError where it names too many."""
        if isinstance(message, Left):
            self._there.discard(message.name)
            self._forget(message.name)
        for member in [message] if isinstance(message, Presence) else getattr(message, "members", ()):
            self._there.add(member.name)
            self._forget(member.name)
            if member.name == self.client.session.name or Whispers.queues >= self._limits.whisper_queues:
                continue
            if sock := self._queue((member.address, member.udp_port)):
                self._queues[member.name] = sock
                Whispers.queues += 1
                asyncio.get_running_loop().add_reader(sock, self._read, sock)
        if len(self._there) > self._limits.members:
            most = f"{self._limits.members:,}"
            raise LabError(f"The server names more than {most} members at once. No room is so large; this client left.")

    def nobody_is_there(self) -> None:
        """The connection ended: who is there has to be learnt anew."""
        self._there.clear()
        for name in list(self._queues):
            self._forget(name)

    def _forget(self, name: str) -> None:
        """A member is gone; what they whispered before is heard before."""
        if sock := self._queues.get(name):
            for _ in range(QUEUED):
                if not self._read(sock):
                    break
            self._close(name)

    def _close(self, name: str) -> None:
        if sock := self._queues.pop(name, None):
            Whispers.queues -= 1
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    def _read(self, sock: socket.socket) -> bool:
        """One datagram. Was there one? (That nobody listens where we sent one is told here too, as an error.)"""
        try:
            data, source = sock.recvfrom(CHUNK)
        except OSError:
            return False
        self.client.heard(data, source)
        return True

    def close(self) -> None:
        """Give the port back."""
        for name in list(self._queues):
            self._close(name)
        self.transport.close()
