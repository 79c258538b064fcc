"""What crossed the wire, recorded from the mirror port, as frames and as pcapng."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from lab import pcapng

MAX_FRAME: Final = 1 << 16
SO_TIMESTAMPNS: Final = 35
"""The kernel tells with each frame when it came (Linux, socket(7)); Python has no name for it."""
TIMESPEC: Final = struct.Struct("@ll")
ALL_HOSTS: Final = 1
"""The bit of a MAC address by which a frame is for a group, or for all."""
WITH_SECRETS: Final = ".with-secrets.pcapng"
"""How the copy's name ends that has the TLS secrets in it."""


class Capture:
    """Records every frame until `stop`; frame numbers count from 1, as in Wireshark."""

    def __init__(self, mirror: socket.socket) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.most = sys.maxsize
        """How many frames are kept from one cut to the next: of a flood, its beginning shows what it is."""
        self._mirror = mirror
        with contextlib.suppress(OSError):  # where the kernel has no such clock, ours will do
            mirror.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        asyncio.get_running_loop().add_reader(mirror, self._drain)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, told, _, _ = self._mirror.recvmsg(MAX_FRAME, 64)
                if len(self.frames) < self.most:
                    self.frames.append((_time_in(told), frame))

    def next_number(self) -> int:
        """The number that the next frame to cross the wire will have."""
        self._drain()
        return len(self.frames) + 1

    def cut(self) -> "Recording":
        """What was recorded since the last cut."""
        self._drain()
        frames, self.frames = self.frames, []
        return Recording(frames)

    def stop(self) -> None:
        """Record no more."""
        asyncio.get_running_loop().remove_reader(self._mirror)
        self._mirror.close()


def _time_in(told: Iterable[tuple[int, int, bytes]]) -> int:
    """When a frame came, in nanoseconds since 1970: as the kernel tells, or now."""
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


class Recording:
    """The frames of one scene, and what is known of them after the verdict."""

    def __init__(self, frames: list[tuple[int, bytes]]) -> None:
        self.frames = frames
        self.comments: dict[int, list[str]] = {}
        self.cards: Mapping[str, str] = {}
        """The MAC address of each host."""
        self.hub = False
        """Did every card hear everything?"""
        self.secrets = b""
        """What opens the members' TLS sessions; nothing until the referee has spoken."""

    def numbers_of(self, words: str) -> list[int]:
        """The frames in which these words can be read as they stand."""
        needle = words.encode()
        return [number for number, (_, frame) in enumerate(self.frames, 1) if needle in frame]

    def comment(self, number: int, text: str) -> None:
        """Say something about a frame, once; about none, if there is none of this number."""
        there = self.comments.setdefault(number, [])
        if text not in there:
            there.append(text)

    def write(self, path: Path) -> None:
        """Write a pcapng file that Wireshark opens. Raises OSError."""
        pcapng.write(path, "lan", self._commented())

    def write_all(self, path: Path, *, per_host: bool = False) -> None:
        """Write it, beside it what opens its TLS where there is any, and a file for each host where that is wanted."""
        self.write(path)
        if self.secrets:
            pcapng.write(path.with_suffix(WITH_SECRETS), "lan", self._commented(), self.secrets, 0o600)
        for host in self.cards if per_host else ():
            pcapng.write(path.with_suffix(f".{host}.pcapng"), f"{host} eth0", self.heard_by(host))

    def heard_by(self, host: str) -> Iterator[pcapng.Frame]:
        """The frames that this host's card sent or could hear: on a hub all; on a switch its own, those for it, and
        those for a group or for all. (A switch also hands on to everybody what is for a card that it has not heard
        yet. Here that hardly happens: whoever is written to has been asked for by ARP, and has answered.)"""
        own = bytes.fromhex(self.cards[host].replace(":", ""))
        for frame in self._commented():
            target, source = frame.data[:6], frame.data[6:12]
            if self.hub or own in (target, source) or target[0] & ALL_HOSTS:
                yield frame

    def _commented(self) -> Iterator[pcapng.Frame]:
        for number, (when, frame) in enumerate(self.frames, 1):
            yield pcapng.Frame(when, frame, self.comments.get(number, ()))


class TlsSecrets:
    """Where the members' TLS contexts write the secrets of their sessions.

    The scene only hands contexts in. What they wrote is taken out before the referee looks at anything. The file has no
    name, only this descriptor: nobody finds it, and it is gone with this process, also where that is killed.
    """

    def __init__(self, folder: str | None) -> None:
        self._descriptor, path = tempfile.mkstemp(dir=folder, prefix="lab-")
        os.unlink(path)

    def log(self, context: ssl.SSLContext) -> None:
        """Let this context write down what opens its sessions."""
        context.keylog_filename = f"/dev/fd/{self._descriptor}"

    def take(self) -> bytes:
        """What was written since the last time, a line for each secret."""
        size = os.fstat(self._descriptor).st_size
        lines = os.pread(self._descriptor, size, 0).splitlines(keepends=True)
        os.ftruncate(self._descriptor, 0)
        return b"".join(line for line in lines if not line.startswith(b"#"))

    def close(self) -> None:
        """Take the file away."""
        os.close(self._descriptor)
