"""Reading captures: pcap and pcapng, frame by frame, as they come.

    for frame in frames(Path("room.pcapng")):
        print(frame.number, frame.time, frame.data.hex())

The file is read in pieces of a megabyte and never held whole, so that a capture may be larger than the memory, or
still be growing at the other end of a pipe. Both formats, both byte orders, µs and ns; Ethernet only. Secrets that
somebody put into a pcapng file are passed over: whoever listens does not have them.

Written here because no library does it as fast and as strictly: scapy, dpkt and python-pcapng spend more time on a
frame than this lab spends on the message in it (`python -m benchmarks.captures`), the last two have seen no release
since 2022, and what is quicker is bound to a C library that has to be installed first.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from common.errors import LabError

PIECE: Final = 1 << 20
"""How many bytes are read at once."""
MAX_FRAME: Final = 1 << 18
"""The longest frame, as in libpcap: a length beyond it is damage, or somebody who wants our memory."""
MAX_BLOCK: Final = 1 << 24
"""The longest block of a pcapng file, as in Wireshark."""
ETHERNET: Final = 1
LINK_TYPES: Final = {
    0: "BSD loopback",
    101: "raw IP",
    105: "Wi-Fi",
    108: "OpenBSD loopback",
    113: "Linux cooked, as `-i any` makes it",
    127: "Wi-Fi with radiotap",
    276: "Linux cooked, as `-i any` makes it",
}

_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_COMMENT, _NAME, _RESOLUTION, _OFFSET = 1, 2, 9, 14


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One captured frame.

    number: from 1, as in Wireshark. time: seconds since 1970, good to a quarter of a microsecond; 0 where the file
    does not say. interface: the name of the card that heard it, empty in pcap. comment: whoever wrote the file may
    have said something about it.
    """

    number: int
    time: float
    interface: str
    comment: str
    data: bytes


class _Card(msgspec.Struct, frozen=True):
    """What an interface description says. A time is so many units, in seconds, after `start`."""

    name: str
    link: int
    snap: int
    unit: float
    start: int


def frames(path: Path) -> Iterator[Frame]:
    """Every frame of a pcap or pcapng file, in order.

    Raises LabError where the file cannot be read, is no capture, is damaged or holds other than Ethernet; all that
    stands before the damage is yielded first.
    """
    try:
        with path.open("rb", buffering=0) as file:
            begin = _at_least(file, 28)
            if begin[:4] in _PCAP:
                yield from _pcap(path, file, begin)
            elif begin[:4] == _SECTION:
                yield from _pcapng(path, file, begin)
            else:
                raise _no_capture(path, _what_it_is(begin))
    except OSError as error:
        raise LabError(f"Cannot read {path} ({error.strerror}); give a capture with --read FILE.") from None


def _at_least(file: BinaryIO, size: int) -> bytes:
    """The beginning of the file; a pipe may hand it over in small pieces."""
    begin = b""
    while len(begin) < size and (more := file.read(PIECE)):
        begin += more
    return begin


def _pcap(path: Path, file: BinaryIO, data: bytes) -> Iterator[Frame]:
    """A file header of 24 bytes, then for each frame a header of 16 and the frame."""
    order, unit = _PCAP[data[:4]]
    if len(data) < 24:
        raise _no_capture(path, "its header is cut short")
    (link,) = struct.unpack_from(order + "I", data, 20)
    if link & 0xFFFF != ETHERNET:  # the upper bits tell of checksums behind the frame
        raise _not_ethernet(path, link & 0xFFFF)
    header = struct.Struct(order + "IIII").unpack_from
    at, number = 24, 0
    while True:
        last = len(data) - 16
        while at <= last:
            seconds, fraction, size, _ = header(data, at)
            if size > MAX_FRAME:
                raise _damaged(path, number, f"its header says {size} bytes")
            end = at + 16 + size
            if end > last + 16:
                break
            number += 1
            yield Frame(number, seconds + fraction * unit, "", "", data[at + 16 : end])
            at = end
        more = file.read(PIECE)
        if not more:
            break
        data, at = data[at:] + more, 0
    if at < len(data):
        raise _cut(path, number)


def _pcapng(path: Path, file: BinaryIO, data: bytes) -> Iterator[Frame]:
    """Blocks, each with its type and its length before it and its length again behind it."""
    if len(data) < 28:
        raise _no_capture(path, "its header is cut short")
    order, at, number = "<", 0, 0
    cards: list[_Card] = []
    begin, length, packet = _shapes(order)
    while True:
        last = len(data) - 12
        while at <= last:
            if data.startswith(_SECTION, at):
                order, cards = _byte_order(path, data, at), []
                begin, length, packet = _shapes(order)
            kind, size = begin(data, at)
            if size < 12 or size % 4 or size > MAX_BLOCK:
                raise _damaged(path, number, f"a block says that it has {size} bytes")
            end = at + size
            if end > last + 12:
                break
            if length(data, end - 4)[0] != size:
                raise _damaged(path, number, "a block has two lengths")
            if kind == _ENHANCED:
                index, high, low, captured = packet(data, at + 8) if size >= 32 else (0, 0, 0, size)
                stop = at + 28 + captured
                if captured > MAX_FRAME or stop > end - 4 or index >= len(cards):
                    raise _damaged(path, number, f"its block says {captured} bytes from interface {index}")
                card = cards[index]
                if card.link != ETHERNET:
                    raise _not_ethernet(path, card.link)
                number += 1
                options = stop + -captured % 4
                comment = _comment(order, data[options : end - 4]) if end - options > 8 else ""
                time = (high << 32 | low) * card.unit + card.start
                yield Frame(number, time, card.name, comment, data[at + 28 : stop])
            elif kind == _INTERFACE:
                cards.append(_card(path, number, order, data[at + 8 : end - 4], len(cards)))
            elif kind == _SIMPLE:
                number += 1
                yield _simple(path, number, order, data[at + 8 : end - 4], cards)
            elif kind == _OBSOLETE:
                raise LabError(f"{path} has packet blocks of a kind given up long ago; convert it first: editcap.")
            at = end
        more = file.read(PIECE)
        if not more:
            break
        data, at = data[at:] + more, 0
    if at < len(data):
        raise _cut(path, number)


def _byte_order(path: Path, data: bytes, at: int) -> str:
    """Each section says in which byte order it is."""
    try:
        return {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}[data[at + 8 : at + 12]]
    except KeyError:
        raise _no_capture(path, "a section's header is neither in one byte order nor in the other") from None


def _shapes(order: str) -> tuple[Callable[[bytes, int], tuple[int, ...]], ...]:
    """What takes apart a block's first two words, its last one, and the four that come before a frame."""
    return tuple(struct.Struct(order + words).unpack_from for words in ("2I", "I", "4I"))


def _card(path: Path, number: int, order: str, body: bytes, index: int) -> _Card:
    """An interface description block: link type, longest frame, options."""
    if len(body) < 8:
        raise _damaged(path, number, "an interface is not described")
    link, snap = struct.unpack_from(order + "HxxI", body)
    said = dict(_options(order, body[8:]))
    (exponent,) = said.get(_RESOLUTION, b"\x06")[:1] or b"\x06"
    unit = 2.0 ** -(exponent & 0x7F) if exponent & 0x80 else 10.0**-exponent
    start = int.from_bytes(said.get(_OFFSET, b"")[:8], "little" if order == "<" else "big", signed=True)
    return _Card(_text(said.get(_NAME, b"")) or f"#{index}", link, snap or MAX_FRAME, unit, start)


def _simple(path: Path, number: int, order: str, body: bytes, cards: list[_Card]) -> Frame:
    """A simple packet block: how long the frame was, and as much of it as the first interface kept."""
    if len(body) < 4 or not cards:
        raise _damaged(path, number - 1, "its block belongs to no interface")
    if cards[0].link != ETHERNET:
        raise _not_ethernet(path, cards[0].link)
    size = min(struct.unpack_from(order + "I", body)[0], cards[0].snap)
    if size > min(len(body) - 4, MAX_FRAME):
        raise _damaged(path, number - 1, f"its block says {size} bytes")
    return Frame(number, 0.0, cards[0].name, "", body[4 : 4 + size])


def _comment(order: str, options: bytes) -> str:
    return "\n".join(_text(value) for code, value in _options(order, options) if code == _COMMENT)


def _options(order: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option; what does not fit into the block is none."""
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if code == 0 or at + 4 + size > len(data):
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _what_it_is(begin: bytes) -> str:
    """Of a file that is no capture, what can be said."""
    if not begin:
        return "it is empty"
    if begin.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        return "it is compressed: unpack it first"
    return "it begins as none does"


def _no_capture(path: Path, why: str) -> LabError:
    return LabError(f"{path} is no capture ({why}); give a pcap or pcapng file.")


def _not_ethernet(path: Path, link: int) -> LabError:
    kind = LINK_TYPES.get(link, "unknown here")
    return LabError(f"{path} has frames of link type {link} ({kind}); capture on an Ethernet interface, or on lo.")


def _damaged(path: Path, number: int, why: str) -> LabError:
    return LabError(f"{path} is damaged behind frame {number} ({why}); what stands before was read, so capture again.")


def _cut(path: Path, number: int) -> LabError:
    return LabError(f"{path} is cut off behind frame {number}; what stands before was read, so capture again.")
