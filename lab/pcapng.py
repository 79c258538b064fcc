"""Writing pcapng, the file format of Wireshark (draft-ietf-opsawg-pcapng; the sections named below are its own).

A file is a row of blocks, each with its type, its length, its body, and its length again. Written here, and not by a
library, for what a capture has beside its frames: an interface with a name, a time in nanoseconds, a comment on a frame
that matters, and, in a copy that is kept apart, the secrets that open its TLS sessions.
"""

import platform
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from common.files import in_place_of

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE: Final = 1
PACKET: Final = 6
SECRETS: Final = 10
BYTE_ORDER: Final = 0x1A2B3C4D
LENGTH_UNKNOWN: Final = -1
ETHERNET: Final = 1
TLS_KEY_LOG: Final = 0x544C534B
"""`TLSK`: lines as NSS and OpenSSL write them (section 4.7)."""

END, COMMENT = 0, 1
HARDWARE, SYSTEM, APPLICATION = 2, 3, 4
NAME, RESOLUTION = 2, 9
NANOSECONDS: Final = b"\x09"
"""10 to the power of -9 seconds."""

Option = tuple[int, bytes]


class Frame(NamedTuple):
    """One frame: when it was heard, in nanoseconds since 1970, its bytes, and what is to be said about it."""

    when: int
    data: bytes
    comments: Sequence[str] = ()


def write(path: Path, interface: str, frames: Iterable[Frame], secrets: bytes = b"", mode: int = 0o644) -> None:
    """Write a capture, whole or not at all; with `secrets`, lines of a TLS key log, they stand before every frame.

    Raises OSError where it cannot be written.
    """
    with in_place_of(path, mode) as file:
        _write_blocks(file, interface, frames, secrets)


def _write_blocks(file: BinaryIO, interface: str, frames: Iterable[Frame], secrets: bytes) -> None:
    file.write(_section_header())
    file.write(_interface(interface))
    if secrets:
        file.write(_secrets(secrets))
    file.writelines(_packet(frame) for frame in frames)


def _section_header() -> bytes:
    """What machine and program made this, and nothing of whose they are (section 4.1)."""
    options = [
        (HARDWARE, platform.machine().encode()),
        (SYSTEM, f"{platform.system()} {platform.release()}".encode()),
        (APPLICATION, b"Progressive Security Lab"),
    ]
    return _block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER, 1, 0, LENGTH_UNKNOWN), options)


def _interface(name: str) -> bytes:
    """Where it was heard (section 4.2)."""
    whole_frames = 0  # no limit to how much of a frame was kept
    body = struct.pack("<HHI", ETHERNET, 0, whole_frames)
    return _block(INTERFACE, body, [(NAME, name.encode()), (RESOLUTION, NANOSECONDS)])


def _packet(frame: Frame) -> bytes:
    """An enhanced packet block (section 4.3)."""
    size = len(frame.data)
    header = struct.pack("<IIIII", 0, frame.when >> 32, frame.when & 0xFFFFFFFF, size, size)
    return _block(PACKET, header + _padded(frame.data), [(COMMENT, text.encode()) for text in frame.comments])


def _secrets(lines: bytes) -> bytes:
    """A decryption secrets block, which holds for the frames that come after it (section 4.7)."""
    return _block(SECRETS, struct.pack("<II", TLS_KEY_LOG, len(lines)) + _padded(lines), [])


def _block(kind: int, body: bytes, options: Sequence[Option]) -> bytes:
    """Any block (section 3.1)."""
    body += b"".join(_options(options))
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(options: Sequence[Option]) -> Iterator[bytes]:
    """The options at a block's end (section 3.5)."""
    for code, value in options:
        yield struct.pack("<HH", code, len(value)) + _padded(value)
    if options:
        yield struct.pack("<HH", END, 0)


def _padded(data: bytes) -> bytes:
    """Filled up to whole words of 32 bits."""
    return data + bytes(-len(data) % 4)
