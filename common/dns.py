"""The lab's own name service: plain DNS (RFC 1035), unsigned, as most networks have it; dnslib has the wire format.

`NameServer` answers for `*.lab.test` on host `dns`; `resolve` is what every host asks with. Nothing proves that an
answer came from the server that was asked, which makes a forged answer a way onto the path.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import Final

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSHeader, DNSRecord
from dnslib.label import DNSLabelError

from common.errors import LabError
from common.hosts import DOMAIN, Host

PORT: Final = 53
TRIES: Final = 3
SECONDS_A_TRY: Final = 1.0
UDP_BYTES: Final = 512
"""The longest answer that is sent by UDP (RFC 1035, section 4.2.1); a longer one is cut and asked for again by TCP."""
UNREADABLE: Final = (DNSError, DNSLabelError, UnicodeError)
"""What dnslib raises for bytes, or for a name, that are none."""


class NameServer(asyncio.DatagramProtocol):
    """Answers A queries from a table of names and addresses, over UDP and TCP.

    heard: is given one line for every query, as it comes: who asked for what, and what they were told.
    """

    def __init__(self, zone: dict[str, str], heard: Callable[[str], None] = lambda line: None) -> None:
        self.zone = zone
        self.heard = heard
        self._transport: asyncio.DatagramTransport | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: Host, port: int = PORT) -> None:
        """Serve on this host until `close`."""
        sock = await host.bind_udp(port)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)
        self._listener = await asyncio.start_server(self._by_tcp, sock=await host.listen(port))

    def close(self) -> None:
        """Stop serving."""
        if self._transport:
            self._transport.close()
        if self._listener:
            self._listener.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._reply(data, addr[0])
        if self._transport and reply:
            packet = bytes(reply.pack())
            self._transport.sendto(packet if len(packet) <= UDP_BYTES else cut_short(reply), addr)

    async def _by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One query a connection, behind its length (RFC 1035, section 4.2.2); whoever dawdles is not waited for."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
            async with asyncio.timeout(SECONDS_A_TRY):
                reply = self._reply(await _message(reader), writer.get_extra_info("peername")[0])
                if reply:
                    writer.write(_with_length(bytes(reply.pack())))
                    await writer.drain()
        writer.close()

    def _reply(self, data: bytes, asker: str) -> DNSRecord | None:
        reply = reply_to(data, self.zone)
        if reply:
            told = ", ".join(str(record.rdata) for record in reply.rr) or RCODE.get(reply.header.rcode)
            self.heard(f"{asker} asks for {reply.q.qname} ({QTYPE.get(reply.q.qtype)}): {told}")
        else:
            self.heard(f"{asker} sent {len(data)} bytes that are no query; no answer")
        return reply


def reply_to(query: bytes, zone: dict[str, str]) -> DNSRecord | None:
    """The reply to a query's bytes; none for what is not a query, so that no two servers can be made to talk.

    A name that is not in the zone gets NXDOMAIN; one that is, asked for anything but an address, gets no records.
    """
    try:
        asked = DNSRecord.parse(query)
        if asked.header.qr or len(asked.questions) != 1:
            return None
        reply = asked.reply()
        address = zone.get(str(asked.q.qname).rstrip(".").lower())
        if address is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif asked.q.qtype == QTYPE.A:
            reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A(address), ttl=5))
        reply.pack()  # some names can be read, and not written again
    except UNREADABLE:
        return None
    return reply


def cut_short(reply: DNSRecord) -> bytes:
    """The reply without its records and marked as truncated: whoever wants them asks again by TCP."""
    cut = DNSRecord(reply.header, questions=reply.questions)
    cut.header.tc = 1
    return bytes(cut.pack())


def answer(query: bytes, zone: dict[str, str]) -> bytes:
    """The same as bytes, empty for none: what a forger sends."""
    reply = reply_to(query, zone)
    return bytes(reply.pack()) if reply else b""


async def resolve(host: Host, server: str, port: int, name: str) -> str:
    """Ask `server` for a name's address; an address written out is its own answer.

    The query's id and source port are random, and the answer must come from the server's address with the same
    id and question (RFC 5452); whoever hears the query can still forge it. An answer that was cut is asked for again
    by TCP. Raises LabError where there is none.
    """
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        header = DNSHeader(id=secrets.randbelow(1 << 16), rd=1)
    try:
        query = DNSRecord(header, questions=DNSRecord.question(name).questions)
        packet = bytes(query.pack())
    except UNREADABLE:
        raise LabError(f"{name} can be no name; the lab's are such as server.{DOMAIN}.") from None
    reply = await _by_udp(host, (server, port), query, packet)
    if reply.header.tc:
        reply = await _again_by_tcp(host, (server, port), query, packet)
    return _address_in(reply, name)


def _address_in(reply: DNSRecord, name: str) -> str:
    if reply.header.rcode == RCODE.NXDOMAIN:
        raise LabError(f"{name} is a name not in the zone of the lab's name server (NXDOMAIN); is it spelt right?")
    addresses = [str(record.rdata) for record in reply.rr if record.rtype == QTYPE.A]
    if not addresses:
        said = RCODE.get(reply.header.rcode)
        raise LabError(f"There is no address for {name} on the lab's network; the name server says {said}.")
    return addresses[0]


async def _by_udp(host: Host, server: tuple[str, int], query: DNSRecord, packet: bytes) -> DNSRecord:
    """Ask up to TRIES times. What cannot be read is no answer (anybody may send it), but is told of at the end."""
    loop = asyncio.get_running_loop()
    garbage = 0
    sock: socket.socket = await host.bind_udp()
    with sock:
        for _ in range(TRIES):
            await loop.sock_sendto(sock, packet, server)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_A_TRY):
                    while True:
                        data, source = await loop.sock_recvfrom(sock, 4096)
                        reply = _read(data)
                        if reply and source == server and _answers(reply, query):
                            return reply
                        garbage += reply is None and source == server
    name = str(query.q.qname).rstrip(".")
    if garbage:
        raise LabError(
            f"What the lab's name server answers for {name} cannot be read as DNS; ask again, or start again."
        )
    raise LabError(f"The lab's name server does not answer for {name}; is the name one of the lab's ({DOMAIN})?")


async def _again_by_tcp(host: Host, server: tuple[str, int], query: DNSRecord, packet: bytes) -> DNSRecord:
    reader, writer = await asyncio.open_connection(sock=await host.connect(*server))
    reply = None
    try:
        writer.write(_with_length(packet))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(SECONDS_A_TRY):
                reply = _read(await _message(reader))
    finally:
        writer.close()
    if reply is None or not _answers(reply, query):
        raise LabError(f"The lab's name server cut its answer for {query.q.qname}, and gives none by TCP.")
    return reply


def _read(data: bytes) -> DNSRecord | None:
    try:
        return DNSRecord.parse(data)
    except UNREADABLE:
        return None


def _answers(reply: DNSRecord, query: DNSRecord) -> bool:
    """Is this a reply, with the id of the query and to its question?"""
    same = reply.header.id == query.header.id and bool(reply.questions) and reply.q == query.q
    return bool(reply.header.qr) and same


async def _message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def _with_length(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message
