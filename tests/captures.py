"""Frames and capture files, made byte by byte: nothing of the lab's own reading is used to make what it reads."""

import socket
import struct
from collections.abc import Sequence

SYN, FIN, PSH, ACK = 2, 1, 8, 16
ALICE, BOB, SERVER = "10.13.37.21", "10.13.37.22", "10.13.37.10"
MACS = {ALICE: 0x15, BOB: 0x16, SERVER: 0x0A, "mallory": 0x63}


def mac(host: str) -> bytes:
    """The card of a host of the lab."""
    return b"\x02\0\0\0\0" + bytes([MACS.get(host, 0xEE)])


def ip(
    source: str,
    target: str,
    protocol: int,
    body: bytes,
    *,
    tags: Sequence[int] = (),
    options: bytes = b"",
    part: int = 0x4000,
    cards: tuple[str, str] | None = None,
) -> bytes:
    """An Ethernet frame with an IPv4 packet; `tags` are VLANs, `part` is flags and fragment offset."""
    sender, receiver = cards or (source, target)
    vlans = b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags)
    form, total = 0x45 + len(options) // 4, 20 + len(options) + len(body)
    header = struct.pack(">BBHHHBBH", form, 0, total, 0, part, 64, protocol, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return mac(receiver) + mac(sender) + vlans + b"\x08\x00" + header + ends + options + body


def tcp(
    data: bytes,
    seq: int,
    *,
    source: tuple[str, int] = (ALICE, 4000),
    target: tuple[str, int] = (SERVER, 5001),
    flags: int = PSH | ACK,
    ack: int = 1,
    options: bytes = b"",
    **how: object,
) -> bytes:
    """A frame with a TCP segment; `options` are TCP's own."""
    offset = (5 + len(options) // 4) << 4
    header = struct.pack(
        ">HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset, flags, 65535, 0, 0
    )
    return ip(source[0], target[0], 6, header + options + data, **how)  # type: ignore[arg-type] # as `ip` takes them


def udp(data: bytes, *, source: tuple[str, int] = (ALICE, 7), target: tuple[str, int] = (BOB, 9)) -> bytes:
    """A frame with a datagram."""
    return ip(source[0], target[0], 17, struct.pack(">HHHH", source[1], target[1], 8 + len(data), 0) + data)


def arp(operation: int, source: str, target: str, *, card: str) -> bytes:
    """An ARP packet from this card, whatever address it claims."""
    ends = mac(card) + socket.inet_aton(source) + bytes(6) + socket.inet_aton(target)
    return mac(target) + mac(card) + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + ends


def say(text: str, sender: str = "alice") -> bytes:
    """A line of stage 1."""
    return f'{{"type":"say","from":"{sender}","text":"{text}"}}\n'.encode()


def pcap(*frames: bytes, order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    """A pcap file, in which each frame came a second after the one before."""
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(order + "IIII", i, 0, len(f), len(f)) + f for i, f in enumerate(frames))
