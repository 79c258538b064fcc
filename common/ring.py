"""Hearing a busy card without loss: the kernel writes frames into memory that it shares with us.

    with ear_of(host.packet_socket()) as ear:
        loop.add_reader(ear, lambda: take(ear.heard()))

A plain packet socket costs a call into the kernel a frame, and keeps so few frames that whoever looks away for some
milliseconds has lost some. A ring (PACKET_RX_RING, version TPACKET_V3) hands over blocks of frames: one call for all of
them, megabytes of patience. A block is handed over when it is full, or RETIRE_MS after its first frame.

Where there is no ring (the loopback network, an old kernel), `PlainEar` does the same with recv.

Sources: packet(7); the kernel's Documentation/networking/packet_mmap.rst; linux/if_packet.h.
"""

import contextlib
import mmap
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final

MAX_FRAME: Final = 1 << 16
BLOCK_BYTES: Final = 1 << 17
BLOCKS: Final = 64
"""8 MiB: at 50,000 chat packets a second, half a second in which nobody reads."""
RETIRE_MS: Final = 2
FLUSH_MS: Final = 1000
"""How long the kernel may take to hand over a block that has begun; many times what it does take."""

_PACKET: Final = getattr(socket, "AF_PACKET", None)  # Linux only
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_V3: Final = 2
_USER: Final = 1
_REQUEST: Final = struct.Struct("=7I")
"""tpacket_req3: block size and number, frame size and number, timeout, private area, feature bits."""
_BLOCK: Final = struct.Struct("=8xIII")
"""tpacket_block_desc, in part: whose it is, how many frames it holds, where the first one begins."""
_STATUS_AT, _COUNT_AT = 8, 12
_FRAME: Final = struct.Struct("=I8xI8xH")
"""tpacket3_hdr, in part: where the next one begins, how many bytes were kept, where they begin."""


class PlainEar:
    """A frame a call. `why` says why it is no ring, where it could have been one."""

    def __init__(self, sock: socket.socket, why: str = "") -> None:
        self.why = why
        self._sock = sock
        self._lost = 0

    def fileno(self) -> int:
        """What becomes readable when there is something."""
        return self._sock.fileno()

    def heard(self) -> Iterator[bytes]:
        """Every frame that is there by now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self._sock.recv(MAX_FRAME)

    def flushed(self) -> Iterator[bytes]:
        """Every frame that has crossed the wire by now."""
        return self.heard()

    @property
    def lost(self) -> int:
        """How many frames the kernel had no room for, so far; where nobody counts (the loopback network), none."""
        if self._sock.family == _PACKET:
            self._lost += struct.unpack_from("=2I", self._sock.getsockopt(_SOL_PACKET, _STATISTICS, 12))[1]
        return self._lost

    def close(self) -> None:
        """Hear no more."""
        self._sock.close()

    def __enter__(self) -> "PlainEar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RingEar(PlainEar):
    """A ring of blocks. Raises OSError where the kernel makes none."""

    def __init__(self, sock: socket.socket, blocks: int = BLOCKS, block_bytes: int = BLOCK_BYTES) -> None:
        super().__init__(sock)
        sock.setsockopt(_SOL_PACKET, _VERSION, _V3)
        frames = blocks * block_bytes // 2048  # of no meaning in version 3, but it must fit
        sock.setsockopt(_SOL_PACKET, _RX_RING, _REQUEST.pack(block_bytes, blocks, 2048, frames, RETIRE_MS, 0, 0))
        self._memory = mmap.mmap(sock.fileno(), blocks * block_bytes)
        self._block_bytes, self._size = block_bytes, blocks * block_bytes
        self._at = 0

    def heard(self) -> Iterator[bytes]:
        """Every frame in blocks that the kernel has handed over, in the order in which they came."""
        memory = self._memory
        while True:
            begin = self._at
            status, count, first = _BLOCK.unpack_from(memory, begin)
            if not status & _USER:
                return
            frames = []
            at = begin + first
            for _ in range(count):
                following, size, offset = _FRAME.unpack_from(memory, at)
                frames.append(memory[at + offset : at + offset + size])
                at += following
            memory[begin + _STATUS_AT : begin + _COUNT_AT + 4] = bytes(8)  # the kernel's again, and it holds nothing
            self._at = (begin + self._block_bytes) % self._size
            yield from frames  # only now: whoever gets one may ask for more

    def flushed(self) -> Iterator[bytes]:
        """Also what is in a block that has only begun: it is waited for until the kernel hands it over."""
        yield from self.heard()
        while _BLOCK.unpack_from(self._memory, self._at)[1]:
            waiting = select.poll()
            waiting.register(self._sock, select.POLLIN)
            if not waiting.poll(FLUSH_MS):
                return
            yield from self.heard()

    def close(self) -> None:
        """Give the memory back, too."""
        self._memory.close()
        super().close()


def ear_of(sock: socket.socket) -> PlainEar:
    """The best ear for this socket, which is the ear's from now on. What comes after this call is heard."""
    if sock.family != _PACKET:
        return PlainEar(sock)
    try:
        return RingEar(sock)
    except OSError as error:
        return PlainEar(sock, f"no ring for packets here ({error.strerror}); on a busy network some may be lost")
