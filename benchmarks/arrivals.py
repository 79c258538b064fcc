"""What it costs that somebody comes: joins a second of the server's processor, TLS handshakes, memory for each member.

    python -m benchmarks.arrivals [--json]

Joins: into a room of 100 and one of 5,000 (stage 1), by members who leave again at once, 50 at a time: so each of them
is a connection, a join, a roster of the whole room, a `joined` and a `left` for everybody there, and its end. Memory:
what the server's resident memory grows by while the room fills, divided by its members. Handshakes: TLS 1.3 connections
that say nothing, one after the other, against nginx with the same certificate.
"""

import argparse
import contextlib
import json
import resource
import selectors
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.peers import Peer

ROOMS: Final = ((100, 3000), (5000, 500))
"""Members that are there, and how many come."""
FILLING: Final = 100
AT_A_TIME: Final = 50
SECURE: Final = 300
HANDSHAKES: Final = 1000
JOIN: Final = b'{"type":"join","name":"m%05d","udp_port":9}\n'
SETTLED_SECONDS: Final = 0.5


class Crowd:
    """Members who read and forget, in this process."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(1 << 20)
        self._come = 0

    def come(self, number: int) -> list[socket.socket]:
        """So many join."""
        new = []
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", self.peer.port))
            sock.sendall(JOIN % self._come)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, sock.recv_into)
            self._come += 1
            new.append(sock)
        self.sockets += new
        return new

    def go(self, those: list[socket.socket]) -> None:
        """They leave."""
        for sock in those:
            self._selector.unregister(sock)
            sock.close()
        del self.sockets[-len(those) :]

    def read(self, seconds: float = 0) -> None:
        """Read whatever has come, until nothing more comes for so long."""
        while ready := self._selector.select(seconds):
            for key, _ in ready:
                with contextlib.suppress(BlockingIOError):
                    key.data(self._buffer)

    def close(self) -> None:
        """All leave."""
        for sock in self.sockets:
            sock.close()
        self._selector.close()


@contextlib.contextmanager
def crowd(peer: Peer) -> Iterator[Crowd]:
    """A crowd, until the block ends."""
    made = Crowd(peer)
    try:
        yield made
    finally:
        made.close()


def joins(peer: Peer, there: int, coming: int) -> dict[str, float]:
    """Joins to a second of the server's processor, and the bytes that each who is there takes."""
    with crowd(peer) as room:
        before = peer.memory()
        for _ in range(there // FILLING):
            room.come(FILLING)
            room.read()
        room.read(SETTLED_SECONDS)
        each, began = (peer.memory() - before) / there, peer.cpu_seconds()
        for _ in range(coming // AT_A_TIME):
            new = room.come(AT_A_TIME)
            room.read()
            room.go(new)
        room.read(SETTLED_SECONDS)
        return {"room": there, "per_cpu": coming / (peer.cpu_seconds() - began), "bytes_each": each}


def secure_memory(peer: Peer) -> float:
    """The bytes that a connection in TLS takes of the server's memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is the server that is measured

    def connected() -> ssl.SSLSocket:
        return context.wrap_socket(
            socket.create_connection(("127.0.0.1", peer.port)), server_hostname="server.lab.test"
        )

    with contextlib.ExitStack() as open_ones:
        for _ in range(20):  # the first take what is taken once
            open_ones.enter_context(connected())
        before = peer.memory()
        for _ in range(SECURE):
            open_ones.enter_context(connected())
        return (peer.memory() - before) / SECURE


def handshakes(peer: Peer, load: Path) -> float:
    """Handshakes to a second of the server's processor."""
    began = peer.cpu_seconds()
    subprocess.run([str(load), "handshakes", str(peer.port), str(HANDSHAKES)], check=True, capture_output=True)
    return HANDSHAKES / (peer.cpu_seconds() - began)


def measure() -> dict[str, object]:
    """All of it. Raises LabError where a server or the compiler is missing."""
    wanted = max(there for there, _ in ROOMS) + 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        peers.onto_the_last_core()
        rooms = []
        for there, coming in ROOMS:
            with peers.lab(folder) as peer:
                rooms.append(joins(peer, there, coming))
        results["joins"] = rooms
        load = peers.compiled(folder, "load")
        with peers.lab(folder, 4) as peer:
            results["secure_bytes_each"] = secure_memory(peer)
            results["handshakes"] = handshakes(peer, load)
        if not peers.missing("nginx"):
            with peers.nginx_before_c(folder) as peer:
                results["nginx_handshakes"] = handshakes(peer, load)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What it costs that somebody comes.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    print(json.dumps(measure(), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
