"""Ethernet frames around TCP segments and UDP datagrams, as a kernel would have made them: what the relay records."""

import socket
import struct
from typing import Final

from common.session import Address

ETHERTYPE_IPV4: Final = 0x0800
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
TIME_TO_LIVE: Final = 64
WINDOW: Final = 0xFFFF
FLAGS: Final = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10}
"""The bits of a TCP header that have a letter (RFC 9293, section 3.1)."""


def segment(ends: tuple[Address, Address], flags: str, seq: int, ack: int, data: bytes) -> bytes:
    """A TCP segment in an IPv4 packet, from the first end to the second (RFC 9293, section 3.1)."""
    bits = sum(FLAGS[letter] for letter in flags)
    header = struct.pack(">HHIIBBHHH", ends[0][1], ends[1][1], seq % 2**32, ack % 2**32, 5 << 4, bits, WINDOW, 0, 0)
    return _packet(ends, TCP, header + data, checksum_at=16)


def datagram(ends: tuple[Address, Address], data: bytes) -> bytes:
    """A UDP datagram in an IPv4 packet, from the first end to the second (RFC 768)."""
    header = struct.pack(">HHHH", ends[0][1], ends[1][1], 8 + len(data), 0)
    return _packet(ends, UDP, header + data, checksum_at=6)


def frame(source_mac: str, target_mac: str, packet: bytes) -> bytes:
    """An IPv4 packet on its way from one card to another."""
    macs = bytes.fromhex((target_mac + source_mac).replace(":", ""))
    return macs + ETHERTYPE_IPV4.to_bytes(2, "big") + packet


def _packet(ends: tuple[Address, Address], protocol: int, body: bytes, checksum_at: int) -> bytes:
    """An IPv4 packet (RFC 791, section 3.1) around a body whose checksum, over the addresses too, is filled in."""
    source, target = (socket.inet_aton(address) for address, _ in ends)
    pseudo = source + target + struct.pack(">HH", protocol, len(body))
    total = _checksum(pseudo + body)
    if protocol == UDP and not total:
        total = 0xFFFF  # zero would say that there is none
    body = body[:checksum_at] + total.to_bytes(2, "big") + body[checksum_at + 2 :]
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, TIME_TO_LIVE, protocol, 0) + source + target
    return header[:10] + _checksum(header).to_bytes(2, "big") + header[12:] + body


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071). A ones' complement sum is the number itself modulo 2^16 - 1."""
    number = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    total = number % 0xFFFF
    return 0xFFFF - (0xFFFF if not total and number else total)
