"""What it costs that somebody comes, and stays: joins a second of the server's processor, memory, TLS handshakes.

    python -m benchmarks arrivals

Joins: into a room of 100 and one of 5,000 (stage 1), by members who come 50 at a time and leave again: so each of them
is a connection, a join, a roster of the whole room and a `joined` for everybody there; to leave again is counted in a
row of its own. Memory: what the server's resident memory grows by while the room fills, divided by its members.
Handshakes: TLS 1.3 connections that say nothing, one after the other, against nginx with the same certificate, the two
in turn.
"""

import contextlib
import os
import resource
import selectors
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.peers import Peer
from benchmarks.rows import Result, Row, Tell
from benchmarks.sampling import sampled
from benchmarks.serve import PROFILE
from common.errors import LabError

ROOMS: Final = ((100, 3000), (5000, 500))
"""Members that are there, and how many come."""
FILLING: Final = 100
AT_A_TIME: Final = 50
SECURE: Final = 300
HANDSHAKES: Final = 300
ROUNDS: Final = 5
JOIN: Final = b'{"type":"join","name":"m%05d","udp_port":9}\n'
WORD: Final = b'{"type":"say","from":"m00000","text":"does everybody hear this?"}\n'
SETTLED_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 2.0
PATIENCE: Final = 30.0
LIMITS_SAID: Final = "The lab's servers run with 20,000 connections and 600 s to join; nginx as it comes."


class Crowd:
    """Members who read and forget, in this process, but for one, the witness: what it heard is counted."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(1 << 20)
        self._come = 0

    def come(self, number: int) -> None:
        """So many join."""
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", self.peer.port))
            sock.sendall(JOIN % self._come)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, sock.recv_into)
            self._come += 1
            self.sockets.append(sock)

    def go(self, number: int) -> None:
        """So many leave, those who came last."""
        for sock in self.sockets[-number:]:
            self._selector.unregister(sock)
            sock.close()
        del self.sockets[-number:]

    def read(self, seconds: float = 0) -> None:
        """Read whatever has come, until nothing more comes for so long."""
        while ready := self._selector.select(seconds):
            for key, _ in ready:
                with contextlib.suppress(BlockingIOError):
                    key.data(self._buffer)

    def until(self, witness: socket.socket, word: bytes, times: int) -> None:
        """Read until the witness has heard a word so often. Raises LabError where it does not."""
        heard, end = b"", time.monotonic() + PATIENCE
        while heard.count(word) < times:
            if time.monotonic() > end:
                raise LabError("Not everybody was told who comes and goes; is this machine very busy? Try again.")
            for key, _ in self._selector.select(1):
                size = key.data(self._buffer)
                if key.fileobj is witness:
                    heard += self._buffer[:size]

    def hears(self) -> int:
        """How many hear what the first one says."""
        self.read(SETTLED_SECONDS)
        self.sockets[0].sendall(WORD)
        heard: set[int] = set()
        end = time.monotonic() + PATIENCE
        while len(heard) < len(self.sockets) - 1 and time.monotonic() < end:
            for key, _ in self._selector.select(1):
                if WORD in self._buffer[: key.data(self._buffer)]:
                    heard.add(key.fd)
        return len(heard) + 1

    def close(self) -> None:
        """All leave."""
        for sock in self.sockets:
            sock.close()
        self._selector.close()


def room(made: Result, peer: Peer, folder: Path, there: int, coming: int) -> None:
    """A room that fills, in which it is quiet, and into which people come."""
    before = peer.memory()
    with contextlib.closing(Crowd(peer)) as crowd:
        for _ in range(there // FILLING):
            crowd.come(FILLING)
            crowd.read()
        hear = crowd.hears()
        each = (peer.memory() - before) / there
        began, since = peer.cpu_seconds(), time.monotonic()
        crowd.read(IDLE_SECONDS)
        idle = (peer.cpu_seconds() - began) / (time.monotonic() - since)
        with sampled(peer.processes[0], folder / PROFILE) as slices:
            joins, leaves = coming_and_going(crowd, coming)
    name = f"joins into a room of {there:,}"
    rows = [
        Row(name=name, ours=coming / joins, unit="/s, CPU", target=f"joins-{there}", profile=name),
        Row(name=f"{name}, who leave again", ours=coming / (joins + leaves), unit="/s, CPU"),
        Row(name=f"memory of a member, {there:,} there", ours=each, unit="bytes", target="memory"),
        Row(name=f"CPU while {there:,} are silent", ours=idle, unit="of a core", target="idle"),
    ]
    if there == ROOMS[-1][0]:
        rows.append(Row(name="members who all hear one message", ours=hear, unit="members", target="members"))
    if not all(row.met for row in rows if row.profile):
        made.profiles[name] = slices
    made.rows += rows


def coming_and_going(crowd: Crowd, coming: int) -> tuple[float, float]:
    """The seconds of the server's processor that it takes so many to come, and to go again."""
    peer, witness, joins, leaves = crowd.peer, crowd.sockets[-1], 0.0, 0.0
    for _ in range(coming // AT_A_TIME):
        start = peer.cpu_seconds()
        crowd.come(AT_A_TIME)
        crowd.until(witness, b'"joined"', AT_A_TIME)
        middle = peer.cpu_seconds()
        crowd.go(AT_A_TIME)
        crowd.until(witness, b'"left"', AT_A_TIME)
        joins, leaves = joins + middle - start, leaves + peer.cpu_seconds() - middle
    return joins, leaves


def secure_memory(peer: Peer) -> float:
    """The bytes that a connection in TLS takes of the server's memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is the server that is measured

    def connected() -> ssl.SSLSocket:
        return context.wrap_socket(
            socket.create_connection(("127.0.0.1", peer.port)), server_hostname="server.lab.test"
        )

    with ExitStack() as open_ones:
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


def secure(made: Result, folder: Path) -> None:
    """What TLS costs, against nginx where it is there."""
    load = peers.compiled(folder, "load")
    with ExitStack() as stack:
        ours = stack.enter_context(peers.lab(folder, 4))
        memory = secure_memory(ours)
        made.rows.append(Row(name="memory of a connection in TLS", ours=memory, unit="bytes", target="secure-memory"))
        if absent := peers.missing("nginx"):
            made.left_out.append(f"TLS handshakes against nginx: {', '.join(absent)} is not installed.")
            return
        theirs = stack.enter_context(peers.nginx_before_c(folder))
        both = [(handshakes(ours, load), handshakes(theirs, load)) for _ in range(ROUNDS)]
        name = "TLS handshakes"
        row = Row(
            name=name,
            ours=statistics.median(mine for mine, _ in both),
            theirs=statistics.median(its for _, its in both),
            unit="/s, CPU",
            against="nginx",
            target="handshakes",
            profile=name,
        )
        made.rows.append(row)
        if not row.met:
            with sampled(ours.processes[0], folder / PROFILE) as slices:
                handshakes(ours, load)
            made.profiles[name] = slices


@contextlib.contextmanager
def as_the_load() -> Iterator[None]:
    """This process holds all the members: on the last core, with as many files as they are."""
    cores, (soft, hard) = os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(there for there, _ in ROOMS) + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    peers.onto_the_last_core()
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def result(say: Tell) -> Result:
    """All of it. Raises LabError where the compiler is missing, or somebody does not hear what they should."""
    made = Result(limits=LIMITS_SAID)
    with as_the_load(), tempfile.TemporaryDirectory(prefix="bench-") as name:
        for there, coming in ROOMS:
            say(f"A room of {there}.")
            with peers.lab(Path(name)) as peer:
                room(made, peer, Path(name), there, coming)
        say("TLS.")
        secure(made, Path(name))
    return made
