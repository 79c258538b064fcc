"""One Ethernet frame taken apart: who to whom, TCP's flags and numbers, and the bytes inside.

    packet = dissected(frame.data)
    print(packet.source, packet.target, packet.flags, packet.seq)

For whoever looks at packets; who wants messages takes `attacks.listener`. VLAN tags (IEEE 802.1Q, at most two) and IPv4
options are left out, the rest of the frame is read as if they were not there. Checksums are not looked at: a card that
computes them itself hands the capture a wrong one, and what was really damaged is sent again. IPv4 only, as the lab.
"""

import socket
import struct
from typing import Final

import msgspec

from common.session import Address

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
FLAGS: Final = {SYN: "SYN", FIN: "FIN", RST: "RST", 0x08: "PSH", ACK: "ACK", 0x20: "URG"}
"""RFC 9293, section 3.1."""
FRAGMENT: Final = 0x3FFF
"""The bits of an IPv4 header that say: this is a part (more fragments, or an offset)."""

_TAGS: Final = (b"\x81\x00", b"\x88\xa8")
_IPV4, _ARP = b"\x08\x00", b"\x08\x06"
_PROTOCOLS: Final = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP"}


class Packet(msgspec.Struct, frozen=True, gc=False):
    """What is in a frame. Ports are 0 where there are none; `data` is what TCP or UDP carry; `about` tells the rest."""

    transport: str
    source: Address
    target: Address
    flags: int = 0
    seq: int = 0
    ack: int = 0
    data: bytes = b""
    about: str = ""


def plain(frame: bytes) -> bytes | None:
    """The same frame without VLAN tags and IPv4 options; None where it is not IPv4."""
    frame = _untagged(frame)
    if frame[12:14] != _IPV4 or len(frame) < 34 or frame[14] >> 4 != 4:
        return None
    options = 4 * (frame[14] & 15) - 20
    total = int.from_bytes(frame[16:18], "big") - options
    if options < 0 or total < 20:
        return None
    return b"".join((frame[:14], b"\x45", frame[15:16], total.to_bytes(2, "big"), frame[18:34], frame[34 + options :]))


def _untagged(frame: bytes) -> bytes:
    for _ in range(2):
        if frame[12:14] in _TAGS:
            frame = frame[:12] + frame[16:]
    return frame


def dissected(frame: bytes) -> Packet | None:
    """The packet in a frame; None where it is neither IPv4 nor ARP, or not whole."""
    whole = plain(frame)
    if whole is None:
        return _arp(_untagged(frame))
    total, _, part, _, protocol = struct.unpack_from(">HHHBB", whole, 16)
    if 14 + total > len(whole):
        return None
    source, target = (socket.inet_ntoa(whole[at : at + 4]) for at in (26, 30))
    transport = _PROTOCOLS.get(protocol, f"IP protocol {protocol}")
    body = whole[34 : 14 + total]
    if part & FRAGMENT:
        return Packet(transport, (source, 0), (target, 0), about=f"fragment at {8 * (part & 0x1FFF)}")
    if transport == "TCP" and len(body) >= 20:
        sport, dport, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", body)
        return Packet(transport, (source, sport), (target, dport), flags, seq, ack, body[(offset >> 4) * 4 :])
    if transport == "UDP" and len(body) >= 8:
        sport, dport = struct.unpack_from(">HH", body)
        return Packet(transport, (source, sport), (target, dport), data=body[8:])
    return Packet(transport, (source, 0), (target, 0))


def _arp(frame: bytes) -> Packet | None:
    """RFC 826: who asks for whom, or who says to have which address."""
    if frame[12:14] != _ARP or len(frame) < 42:
        return None
    (operation,) = struct.unpack_from(">H", frame, 20)
    source, target = (socket.inet_ntoa(frame[at : at + 4]) for at in (28, 38))
    if operation == 1 and source != target:
        return Packet("ARP", (source, 0), (target, 0), about=f"who has {target}?")
    return Packet("ARP", (source, 0), (target, 0), about=f"{source} is at {frame[22:28].hex(':')}")
