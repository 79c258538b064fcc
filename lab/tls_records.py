"""TLS as anybody on the wire sees it: records, the first messages of a handshake, and what these say in the clear.

Sources: RFC 8446, sections 4.1.2, 4.1.3, 4.2.1 and 5.1; RFC 6066, section 3.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from attacks.packets import SYN, Packet

HANDSHAKE, APPLICATION = 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
VERSIONS: Final = {0x0304: "TLS 1.3", 0x0303: "TLS 1.2", 0x0302: "TLS 1.1", 0x0301: "TLS 1.0"}
_SERVER_NAME, _SUPPORTED_VERSIONS = 0, 43
_WORD: Final = 0xFFFFFFFF


class Record(NamedTuple):
    """One record: the frame in which it ends, its content type, its body."""

    number: int
    kind: int
    body: bytes


def records(packets: Iterable[tuple[int, Packet]], port: int) -> Iterator[Record]:
    """The records to and from this port. Of a stream only what comes in order is read; sent again, it counts once."""
    waiting: dict[object, tuple[int, bytes]] = {}
    for number, packet in packets:
        way = packet.source, packet.target
        if port not in (packet.source[1], packet.target[1]):
            continue
        if packet.flags & SYN:
            waiting[way] = (packet.seq + 1 & _WORD, b"")
        due, rest = waiting.get(way, (packet.seq, b""))
        if packet.seq != due or not packet.data:
            continue
        rest += packet.data
        while len(rest) >= 5 and len(rest) >= 5 + (size := int.from_bytes(rest[3:5], "big")):
            yield Record(number, rest[0], rest[5 : 5 + size])
            rest = rest[5 + size :]
        waiting[way] = (due + len(packet.data) & _WORD, rest)


def hello(found: Iterable[Record], kind: int) -> bytes:
    """The first ClientHello or ServerHello, from its version on; nothing where there is none."""
    return next((r.body[4:] for r in found if r.kind == HANDSHAKE and r.body[:1] == bytes([kind])), b"")


def extensions(hello: bytes, kind: int) -> dict[int, bytes]:
    """The extensions of a hello, by their number. A damaged one has those that come before the damage."""
    at = 34 + 1 + int.from_bytes(hello[34:35], "big")  # version, random, session id
    if kind == CLIENT_HELLO:
        at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
        at += 1 + int.from_bytes(hello[at : at + 1], "big")  # compression methods
    else:
        at += 3
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at, found = at + 2, {}
    while at + 4 <= min(end, len(hello)):
        number, size = (int.from_bytes(hello[at + n : at + n + 2], "big") for n in (0, 2))
        found[number] = hello[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def server_name(client_hello: bytes) -> str:
    """The name that a client asks for, in the clear (SNI)."""
    listed = extensions(client_hello, CLIENT_HELLO).get(_SERVER_NAME, b"")
    return listed[5:].decode("ascii", "replace")


def version(server_hello: bytes) -> int:
    """The version that the server chose: in an extension since 1.3, in the old field before."""
    chosen = extensions(server_hello, SERVER_HELLO).get(_SUPPORTED_VERSIONS, server_hello[:2])
    return int.from_bytes(chosen, "big")
