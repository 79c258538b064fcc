"""What crossed the wire, recorded from the mirror port, as frames and as pcapng."""

import asyncio
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

MAX_FRAME: Final = 1 << 16
DLT_ETHERNET: Final = 1


class Capture:
    """Records every frame until `stop`; frame numbers count from 1, as in Wireshark."""

    def __init__(self, mirror: socket.socket) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._mirror = mirror
        asyncio.get_running_loop().add_reader(mirror, self._drain)

    def _drain(self) -> None:
        try:
            while True:
                self.frames.append((time.time(), self._mirror.recv(MAX_FRAME)))
        except BlockingIOError:
            pass

    def cut(self) -> "Recording":
        """What was recorded since the last cut."""
        self._drain()
        frames, self.frames = self.frames, []
        return Recording(frames)

    def stop(self) -> None:
        """Record no more."""
        asyncio.get_running_loop().remove_reader(self._mirror)
        self._mirror.close()


class Recording:
    """The frames of one scene."""

    def __init__(self, frames: list[tuple[float, bytes]]) -> None:
        self.frames = frames

    def numbers_of(self, words: str) -> list[int]:
        """The frames in which these words can be read as they stand."""
        needle = words.encode()
        return [number for number, (_, frame) in enumerate(self.frames, 1) if needle in frame]

    def write(self, path: Path) -> None:
        """Write a pcapng file that Wireshark opens."""
        from scapy.utils import PcapNgWriter

        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        os.close(descriptor)
        unfinished = Path(name)
        with PcapNgWriter(str(unfinished)) as file:
            file.linktype = DLT_ETHERNET
            file.write_header(None)
            for when, frame in self.frames:
                file.write_packet(frame, sec=when)
        unfinished.chmod(0o644)
        unfinished.replace(path)
