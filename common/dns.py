"""The lab's own name service: plain DNS over UDP (RFC 1035), unsigned, as most networks have it.

`NameServer` answers for `*.lab.test` on host `dns`; `resolve` is what every host asks with. Nothing proves that an
answer came from the server that was asked, which makes a forged answer a way onto the path.
"""

import asyncio
import ipaddress
import secrets
import socket
from typing import Final

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSHeader, DNSRecord
from dnslib.label import DNSLabelError

from common.errors import LabError
from common.hosts import DOMAIN, Host

PORT: Final = 53
TRIES: Final = 3
SECONDS_A_TRY: Final = 1.0
UNREADABLE: Final = (DNSError, DNSLabelError, UnicodeError)
"""What dnslib raises for bytes, or for a name, that are none."""


class NameServer(asyncio.DatagramProtocol):
    """Answers A queries from a table of names and addresses."""

    def __init__(self, zone: dict[str, str]) -> None:
        self.zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: Host, port: int = PORT) -> None:
        """Serve on this host until `close`."""
        sock = await host.bind_udp(port)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)

    def close(self) -> None:
        """Stop serving."""
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport:
            reply = answer(data, self.zone)
            if reply:
                self._transport.sendto(reply, addr)


def answer(query: bytes, zone: dict[str, str]) -> bytes:
    """The reply to a query's bytes; empty for what is not a query, so that no two servers can be made to talk."""
    try:
        asked = DNSRecord.parse(query)
        if asked.header.qr:
            return b""
        reply = asked.reply()
        name = str(asked.q.qname).rstrip(".").lower()
        if name in zone and asked.q.qtype == QTYPE.A:
            reply.add_answer(RR(name, QTYPE.A, rdata=A(zone[name]), ttl=5))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return bytes(reply.pack())
    except UNREADABLE:
        return b""


async def resolve(host: Host, server: str, port: int, name: str) -> str:
    """Ask `server` for a name's address; an address written out is its own answer.

    The query's id and source port are random, and the answer must come from the server's address with the same
    id and question (RFC 5452); whoever hears the query can still forge it. Raises LabError where there is none.
    """
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        query = DNSRecord(DNSHeader(id=secrets.randbelow(1 << 16), rd=1))
    try:
        query = DNSRecord(query.header, questions=DNSRecord.question(name).questions)
        packet = query.pack()
    except UNREADABLE:
        raise LabError(f"{name} can be no name; the lab's are such as server.{DOMAIN}.") from None
    loop = asyncio.get_running_loop()
    sock: socket.socket = await host.bind_udp()
    with sock:
        for _ in range(TRIES):
            await loop.sock_sendto(sock, packet, (server, port))
            try:
                async with asyncio.timeout(SECONDS_A_TRY):
                    return await _matching_answer(sock, (server, port), query, name)
            except TimeoutError:
                continue
    raise LabError(f"The lab's name server does not answer for {name}; is the name one of the lab's ({DOMAIN})?")


async def _matching_answer(sock: socket.socket, server: tuple[str, int], query: DNSRecord, name: str) -> str:
    loop = asyncio.get_running_loop()
    while True:
        data, source = await loop.sock_recvfrom(sock, 4096)
        try:
            reply = DNSRecord.parse(data)
        except UNREADABLE:
            continue
        if source != server or reply.header.id != query.header.id or reply.q.qname != query.q.qname:
            continue
        addresses = [str(record.rdata) for record in reply.rr if record.rtype == QTYPE.A]
        if not addresses:
            raise LabError(f"There is no address for {name} on the lab's network.")
        return addresses[0]
