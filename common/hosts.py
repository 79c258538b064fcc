"""A host is where a socket is made, and nothing else in the lab knows more about networks than that.

`Host` is a machine of one of the lab's two networks (`common.lan`, `common.loopback`); `ThisMachine` is the
real one, for running a stage by hand. Attacks get a `Host` too, so they cannot reach further than it can.
"""

import asyncio
import ipaddress
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from common.errors import LabError

DOMAIN: Final = "lab.test"
"""The lab's own names end so; `.test` is reserved and resolves nowhere (RFC 6761, section 6.2)."""

QUIET_SECONDS, PROBE_SECONDS, PROBES = 15, 5, 3
"""After so long a silence on a connection the kernel asks whether the other side is there, so often, before it ends it
(RFC 9293, section 3.8.4)."""


class Host(ABC):
    """One machine: its name, its IPv4 address, and the sockets it can make."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.pinned: dict[str, str] = {}
        """Names whose address this host knows and asks nobody for, as in a file of hosts."""

    @abstractmethod
    async def listen(self, port: int) -> socket.socket:
        """A TCP socket that listens on this host; port 0 takes a free one. Raises LabError where it is in use."""

    @abstractmethod
    async def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection from this host. Raises LabError where nobody answers."""

    @abstractmethod
    async def bind_udp(self, port: int = 0) -> socket.socket:
        """A UDP socket on this host; port 0 takes a free one. Raises LabError where it is in use."""

    def udp_queue(self, sock: socket.socket, peer: tuple[str, int]) -> socket.socket | None:
        """Another UDP socket at the port of this one, for what this peer sends and nobody else: the kernel gives each
        datagram to the socket that fits it best. None where that cannot be had."""
        return None

    @abstractmethod
    def packet_socket(self) -> socket.socket:
        """Every frame that this host's network card hears, and a way to send any; one frame a recv or send."""

    @abstractmethod
    async def resolve(self, name: str) -> str:
        """The IPv4 address of a name, or of an address written out. Raises LabError where there is none."""


def tcp_socket() -> socket.socket:
    """A TCP socket that says so: asyncio switches Nagle's algorithm off (RFC 896) only where it sees `IPPROTO_TCP`,
    and with it on, a short message waits for the last one's acknowledgement."""
    return socket.socket(proto=socket.IPPROTO_TCP)


def udp_socket() -> socket.socket:
    """A UDP socket."""
    return socket.socket(type=socket.SOCK_DGRAM)


def watch(sock: socket.socket) -> None:
    """Let the kernel find out within half a minute that the other side is gone without a word, as when a cable is
    pulled: whoever only listens would wait for ever. A listener hands this on to what it accepts."""
    options = {"TCP_KEEPIDLE": QUIET_SECONDS, "TCP_KEEPINTVL": PROBE_SECONDS, "TCP_KEEPCNT": PROBES}
    options["TCP_USER_TIMEOUT"] = 1000 * (QUIET_SECONDS + PROBES * PROBE_SECONDS)  # what is sent, and not acknowledged
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):  # macOS has others
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def listening(sock: socket.socket, address: str, port: int) -> socket.socket:
    """Bind and listen, or say in one sentence why not."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    watch(sock)
    try:
        sock.bind((address, port))
        sock.listen(512)
    except OSError as error:
        sock.close()
        raise LabError(
            f"Cannot listen on {address} port {port} ({error.strerror}); choose another with PORT=."
        ) from None
    sock.setblocking(False)
    return sock


def bound(sock: socket.socket, address: str, port: int) -> socket.socket:
    """Bind a UDP socket, or say in one sentence why not."""
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise LabError(f"Cannot use UDP port {port} of {address} ({error.strerror}).") from None
    sock.setblocking(False)
    return sock


def beside(make: Callable[[], socket.socket], sock: socket.socket, peer: tuple[str, int]) -> socket.socket | None:
    """Put a new UDP socket at the port of another, connected to a peer; None where the system does not want that, or
    has no descriptor left."""
    try:
        new = make()
    except OSError:
        return None
    try:
        for one in (sock, new):  # the first was bound without it: nobody else's program gets in
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        new.bind(sock.getsockname())
        new.connect(peer)
    except OSError:
        new.close()
        return None
    new.setblocking(False)
    return new


async def connected(sock: socket.socket, address: str, port: int) -> socket.socket:
    """Connect within five seconds, or say in one sentence why not."""
    sock.setblocking(False)
    watch(sock)
    try:
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except OSError as error:  # TimeoutError is one
        sock.close()
        why = os.strerror(error.errno) if error.errno else "no answer in 5 s"
        raise LabError(f"Cannot reach {address} port {port} ({why}); is the server running there?") from None
    except asyncio.CancelledError:
        sock.close()
        raise
    return sock


class ThisMachine(Host):
    """The machine the lab runs on, as it is: for `make stage-1 server` and `client`, by hand."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__("this machine", address)

    async def listen(self, port: int) -> socket.socket:
        return listening(tcp_socket(), self.address, port)

    async def connect(self, address: str, port: int) -> socket.socket:
        return await connected(tcp_socket(), address, port)

    async def bind_udp(self, port: int = 0) -> socket.socket:
        return bound(socket.socket(type=socket.SOCK_DGRAM), self.address, port)

    def udp_queue(self, sock: socket.socket, peer: tuple[str, int]) -> socket.socket | None:
        return beside(udp_socket, sock, peer)

    def packet_socket(self) -> socket.socket:
        raise LabError(
            "Listening to this machine's own network card needs root, and the lab never asks for that; "
            "run the attack without TARGET=, in the lab's own network."
        )

    async def resolve(self, name: str) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET)
        except OSError as error:
            raise LabError(f"There is no address for {name} ({error.strerror}); check SERVER=.") from None
        except UnicodeError:
            raise LabError(f"{name} can be no name of a machine; check SERVER=.") from None
        return str(found[0][4][0])


class Confined(ThisMachine):
    """This machine, for an attack that is run by hand: whatever a server says of where somebody is, nothing of it goes
    further than 127.0.0.0/8. (UDP cannot: from a socket bound to 127.0.0.1 the kernel sends to nobody else.)"""

    async def connect(self, address: str, port: int) -> socket.socket:
        return await super().connect(only_lab_or_loopback(address), port)

    async def resolve(self, name: str) -> str:
        return only_lab_or_loopback(name)


def only_lab_or_loopback(address: str) -> str:
    """Refuse any target that an attack script has no business with. Raises LabError.

    For targets that a person names: hosts of the lab's own network never pass here, since their sockets live in
    namespaces from which nothing else can be reached.
    """
    try:
        target = ipaddress.IPv4Address(address)  # no name, which somebody else resolves, nor 0177.1
    except ValueError:
        raise LabError(f"{address} is not an IP address; attacks take one of 127.0.0.0/8.") from None
    if not target.is_loopback:
        raise LabError(f"{address} is outside the lab; attacks run against the lab's network or 127.0.0.0/8 only.")
    return address
