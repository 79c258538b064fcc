"""The loopback network: for machines that allow no LAN. Every host is an address of 127.0.0.0/8.

A relay is the cable. What a host listens on stands behind it, at the host's private address (127.1.0.x); the
relay listens at the public one (127.0.0.x), dials on from the caller's public address, and records what it carries as
Ethernet frames, so that the same sniffer reads them and the same captures are written. What an on-path attacker
does on the LAN with ARP, they do here by being handed the relay (`intercept`).

What is not real here: there is no ARP and no switch, and the frames are made by the relay, not by a kernel.
"""

import asyncio
import contextlib
import secrets
import socket
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from common import dns, frames
from common.errors import LabError
from common.hosts import Host, beside, bound, connected, listening, tcp_socket, udp_socket
from common.lan import CARDS, PLAN, Kind
from common.session import Address

PUBLIC: Final = "127.0"
PRIVATE: Final = "127.1"
DNS_PORT: Final = 5053
"""Port 53 needs root on the real loopback."""
IP_BIND_ADDRESS_NO_PORT: Final = 24
BLOCKS: Final = 64
"""How many loopback networks one machine can have at once."""
CHUNK: Final = 1 << 16


@dataclass
class Intercepted:
    """A connection that an on-path attacker holds instead of its server."""

    sock: socket.socket
    client: Address
    server: Address
    dial: Callable[[], Awaitable[socket.socket]]
    """Connect on to the server, under the client's address."""


InterceptTcp = Callable[[Intercepted], Coroutine[Any, Any, None]]
InterceptUdp = Callable[[bytes, Address, Address], bytes | None]


class LoopbackHost(Host):
    """A host whose sockets all lead to the relay."""

    def __init__(self, name: str, network: "Loopback") -> None:
        super().__init__(name, f"{PUBLIC}.{network.block}.{PLAN[name]}")
        self.private = f"{PRIVATE}.{network.block}.{PLAN[name]}"
        self.mac = CARDS[name]
        self.network = network

    async def listen(self, port: int) -> socket.socket:
        sock = listening(tcp_socket(), self.private, port)
        try:
            self.network.carry_tcp(self, sock.getsockname()[1])
        except LabError:
            sock.close()
            raise
        return sock

    async def connect(self, address: str, port: int) -> socket.socket:
        sock = tcp_socket()
        sock.bind((self.private, 0))
        return await connected(sock, address, port)

    async def bind_udp(self, port: int = 0) -> socket.socket:
        sock = bound(socket.socket(type=socket.SOCK_DGRAM), self.private, port)
        port = sock.getsockname()[1]
        self.network.carry_udp(self, port)
        weakref.finalize(sock, self.network.drop_udp, (self.address, port)).atexit = False
        return sock

    def udp_queue(self, sock: socket.socket, peer: tuple[str, int]) -> socket.socket | None:
        return beside(udp_socket, sock, peer)

    def packet_socket(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.network.wire.taps.append((self, ours))
        return theirs

    async def resolve(self, name: str) -> str:
        at = f"{PUBLIC}.{self.network.block}.{PLAN['dns']}"
        return self.pinned.get(name) or await dns.resolve(self, at, DNS_PORT, name)


@dataclass
class Wire:
    """What crosses the relay, as Ethernet frames for whoever taps it."""

    macs: dict[str, str]
    kind: Kind = "switch"
    taps: list[tuple[LoopbackHost | None, socket.socket]] = field(default_factory=list)
    """Who hears: a host's card, or (None) the mirror, which hears all."""

    def segment(self, source: Address, target: Address, flags: str, seq: int, ack: int, data: bytes = b"") -> None:
        """A TCP segment."""
        if self.taps:
            self._frame(source, target, frames.segment((source, target), flags, seq, ack, data))

    def datagram(self, source: Address, target: Address, data: bytes) -> None:
        """A UDP datagram."""
        if self.taps:
            self._frame(source, target, frames.datagram((source, target), data))

    def _frame(self, source: Address, target: Address, packet: bytes) -> None:
        frame = frames.frame(self.macs[source[0]], self.macs[target[0]], packet)
        for listener in list(self.taps):
            host, tap = listener
            if host is None or self.kind == "hub" or host.address in (source[0], target[0]):
                try:
                    tap.send(frame)
                except BlockingIOError:
                    pass  # a full tap loses frames, as a real card does
                except OSError:
                    self.taps.remove(listener)  # nobody listens there any more
                    tap.close()


@dataclass
class Leg:
    """One TCP connection as it is recorded: the addresses of its two ends, and how far each direction is."""

    wire: Wire
    client: Address
    server: Address
    sent: list[int] = field(default_factory=lambda: [secrets.randbits(32), secrets.randbits(32)])
    """The sequence number that comes next in each direction; the first is random, as a kernel's (RFC 6528)."""

    def opened(self) -> None:
        """The three-way handshake."""
        seq, ack = self.sent
        self.wire.segment(self.client, self.server, "S", seq, 0)
        self.wire.segment(self.server, self.client, "SA", ack, seq + 1)
        self.wire.segment(self.client, self.server, "A", seq + 1, ack + 1)
        self.sent = [seq + 1, ack + 1]

    def carried(self, direction: int, data: bytes, *, flags: str = "PA") -> None:
        """Bytes went by: direction 0 is client to server. In pieces that fit an Ethernet frame."""
        ends = (self.client, self.server)
        for start in range(0, max(len(data), 1), 1448):
            piece = data[start : start + 1448]
            seq, ack = self.sent[direction], self.sent[1 - direction]
            self.wire.segment(ends[direction], ends[1 - direction], flags, seq, ack, piece)
            self.sent[direction] += len(piece) or 1


class Loopback:
    """One loopback network; `close` ends its relay."""

    def __init__(self) -> None:
        self.block, self._lock = _free_block()
        self.hosts = {name: LoopbackHost(name, self) for name in PLAN}
        self.folder = Path()
        """Where whoever uses it keeps what is thrown away with it."""
        self.zone: dict[str, str] = {}
        """The names that its name server knows."""
        self.wire = Wire({host.address: host.mac for host in self.hosts.values()})
        self.intercept_tcp: InterceptTcp | None = None
        self.intercept_udp: InterceptUdp | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._carried: set[Address] = set()
        self._faces: dict[Address, socket.socket] = {}
        self._carrying: dict[Address, asyncio.Task[None]] = {}

    @property
    def kind(self) -> Kind:
        """Hub or switch."""
        return self.wire.kind

    def become(self, kind: Kind) -> None:
        """Be a hub or a switch from now on."""
        self.wire.kind = kind

    def mirror(self) -> socket.socket:
        """Hears every frame."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.wire.taps.append((None, ours))
        return theirs

    def close(self) -> None:
        """Stop carrying. The addresses are another network's to have once nothing of this one listens there."""
        self._closed = True
        self._give_back()
        for task in self._tasks:
            task.cancel()
        for _, tap in self.wire.taps:
            tap.close()
        self._faces.clear()
        self.wire.taps.clear()

    def _give_back(self) -> None:
        if self._closed and not self._tasks:
            self._lock.close()

    def carry_tcp(self, host: LoopbackHost, port: int) -> None:
        """Stand before a listener of this host; a later one on the same port finds the relay still there."""
        if (host.address, port) in self._carried:
            return
        self._carried.add((host.address, port))
        listener = listening(tcp_socket(), host.address, port)
        self._start(self._accept(host, listener, port), listener)

    def drop_udp(self, face: Address) -> None:
        """A UDP socket is closed: stand before it no longer."""
        self._faces.pop(face, None)
        if task := self._carrying.pop(face, None):
            task.cancel()

    def carry_udp(self, host: LoopbackHost, port: int) -> None:
        """Stand before a UDP socket of this host."""
        if (host.address, port) in self._faces:
            return
        face = socket.socket(type=socket.SOCK_DGRAM)
        face.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        face.bind((host.address, port))
        face.setblocking(False)
        self._faces[(host.address, port)] = face
        self._carrying[(host.address, port)] = self._start(self._carry_datagrams(host, face, port), face)

    def _start(self, work: Any, *owned: socket.socket) -> "asyncio.Task[None]":
        """Do something until it is done or the network is closed; then close what it owned."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(_: object) -> None:
            self._tasks.discard(task)
            for sock in owned:
                sock.close()
            self._give_back()

        task.add_done_callback(done)
        return task

    async def _accept(self, host: LoopbackHost, listener: socket.socket, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, caller = await loop.sock_accept(listener)
            self._start(self._carry_connection(host, sock, caller, port), sock)

    async def _carry_connection(self, host: LoopbackHost, sock: socket.socket, caller: Address, port: int) -> None:
        client: Address = (_public(caller[0]), caller[1])
        server: Address = (host.address, port)

        async def dial() -> tuple[socket.socket, Leg]:
            onward = tcp_socket()
            onward.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            onward.bind((client[0], 0))
            await connected(onward, host.private, port)
            leg = Leg(self.wire, (client[0], onward.getsockname()[1]), server)
            leg.opened()
            return onward, leg

        with contextlib.suppress(LabError):  # nobody listens behind: the caller sees the connection end
            sock.setblocking(False)
            if self.intercept_tcp is None:
                onward, leg = await dial()
                with onward:
                    await _both_ways(sock, onward, leg)
                return
            mine, theirs = _pair()
            first = Leg(self.wire, client, server)
            first.opened()

            async def dial_recorded() -> socket.socket:
                onward, leg = await dial()
                near, far = _pair()
                self._start(_both_ways(far, onward, leg), far, onward)
                return near

            with mine:
                self._start(self._hand_over(Intercepted(theirs, client, server, dial_recorded)), theirs)
                await _both_ways(sock, mine, first)

    async def _hand_over(self, intercepted: Intercepted) -> None:
        if self.intercept_tcp:
            await self.intercept_tcp(intercepted)

    async def _carry_datagrams(self, host: LoopbackHost, face: socket.socket, port: int) -> None:
        loop = asyncio.get_running_loop()
        target: Address = (host.address, port)
        while True:
            data, caller = await loop.sock_recvfrom(face, CHUNK)
            source: Address = (_public(caller[0]), caller[1])
            self.wire.datagram(source, target, data)
            carried = self.intercept_udp(data, source, target) if self.intercept_udp else data
            if carried is not None:
                with contextlib.suppress(OSError, LabError):  # the member's socket is gone: UDP loses datagrams
                    self._send_as(source, carried, (host.private, port))

    def _send_as(self, source: Address, data: bytes, target: Address) -> None:
        """Send a datagram from this public address, whose own socket may be closed by now."""
        if face := self._faces.get(source):
            face.sendto(data, target)
        else:
            with bound(socket.socket(type=socket.SOCK_DGRAM), *source) as sock:
                sock.sendto(data, target)


def _public(address: str) -> str:
    return address.replace(PRIVATE, PUBLIC, 1)


def _free_block() -> tuple[int, socket.socket]:
    """A block of addresses that no other loopback network on this machine uses, and the socket that keeps it ours."""
    for block in range(BLOCKS):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        try:
            sock.bind((f"{PRIVATE}.{block}.1", DNS_PORT))
        except OSError:
            sock.close()
        else:
            return block, sock
    raise LabError(f"The loopback network needs addresses from {PRIVATE}.0.1 on, and none is free; see make doctor.")


def _pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


async def _both_ways(client: socket.socket, server: socket.socket, leg: Leg) -> None:
    """Carry bytes between the two sockets until both directions have ended."""
    loop = asyncio.get_running_loop()
    ends = (_End(leg, 0), _End(leg, 1))
    ends[0].other, ends[1].other = ends[1], ends[0]
    try:
        for end, sock in zip(ends, (client, server), strict=True):
            await loop.create_connection(lambda end=end: end, sock=sock)  # type: ignore[misc] # bound, not captured
        await asyncio.gather(ends[0].lost, ends[1].lost)
    finally:
        for end in ends:
            if end.transport:
                end.transport.abort()


class _End(asyncio.Protocol):
    """One end of a carried connection: what comes in here goes out at the other, no faster than it is taken there."""

    other: "_End"

    def __init__(self, leg: Leg, direction: int) -> None:
        self.leg = leg
        self.direction = direction
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []
        """What is to go out here, and came before this end stood."""
        self.ended = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.writelines(self.waiting)
        if self.other.ended:
            self.transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self.leg.carried(self.direction, data)
        if self.other.transport:
            self.other.transport.write(data)
        else:
            self.other.waiting.append(data)

    def eof_received(self) -> bool:
        self.end()
        return not self.other.ended  # keep open the direction that still goes

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()
        if self.other.transport:
            self.other.transport.close()
        if not self.lost.done():  # whoever waited for it has been cancelled: the network is closed
            self.lost.set_result(None)

    def end(self) -> None:
        """This direction is over: say so at the other end, once."""
        if not self.ended:
            self.ended = True
            self.leg.carried(self.direction, b"", flags="FA")
            if self.other.transport and not self.other.transport.is_closing():
                self.other.transport.write_eof()

    def pause_writing(self) -> None:
        if self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport:
            self.other.transport.resume_reading()
