"""Frozen conversations: every byte on the wire, every effect and every line shown, with all randomness pinned.

Each stage has its own script, tests/stageN/transcript.py, and what it must come to, transcript.txt beside it. Nothing
writes that file but a person who changed a protocol on purpose, reads the diff, and types

    python -m tests.transcripts N
"""

import difflib
import importlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.commands import typed
from common.session import Close, Datagram, Later, Send, Show
from common.wire import decoder, encode
from tests.desk import Desk

ADDRESS = "10.13.37.21"
ELSEWHERE = ("10.13.37.99", 1)
"""Where datagrams say they come from: it is no evidence, so it must not matter."""

MakeClient = Callable[[str, int, Path, bool], Any]
"""A stage's client, from name, UDP port, folder, and whether it is to make an account."""


class Conversation:
    """Clients and their server in memory; `lines` is all that happens, in order. Every message goes as bytes."""

    def __init__(self, folder: Path, server: Any, make: MakeClient) -> None:
        self.folder = folder
        self.make = make
        self.desk = Desk(server)
        self.clients: dict[str, Any] = {}
        self.connections: dict[str, Any] = {}
        self.timers: dict[str, list[Later]] = {}
        self.asleep: set[str] = set()
        """Clients that read nothing of what comes."""
        self.ports = itertools.count(4001)
        self.lines: list[str] = []

    def text(self) -> str:
        """All that happened."""
        return "".join(f"{line}\n" for line in self.lines)

    def comes(self, name: str, seat: str = "") -> None:
        """Somebody starts their client, for the first time or again; `seat` where another has the name here."""
        seat = seat or name
        own = self.folder / seat
        new = not own.exists()
        own.mkdir(exist_ok=True)
        self.lines.append(f"\n# {seat} starts a client as {name}")
        self.clients[seat] = self.make(name, next(self.ports), own, new)
        self.connections[seat] = self.desk.connect(ADDRESS)
        self.timers[seat] = []
        self.perform(seat, self.clients[seat].connected())
        self.settle()

    def types(self, seat: str, line: str) -> None:
        """Somebody types a line, and everything that follows from it happens."""
        self.lines.append(f"\n# {seat} types: {line}")
        effects = typed(self.clients[seat], line)
        self.perform(seat, effects)
        if Close() in effects:
            self.leave(seat)
        self.settle()

    def goes(self, seat: str) -> None:
        """Somebody's connection ends."""
        self.lines.append(f"\n# {seat} goes")
        self.leave(seat)
        self.settle()

    def times_out(self, seat: str) -> None:
        """The time passes for which somebody's client has waited longest."""
        later = self.timers[seat].pop(0)
        self.lines.append(f"\n# {later.seconds} s pass for {seat}")
        self.perform(seat, later.then())
        self.settle()

    def gets(self, seat: str, line: bytes, why: str) -> None:
        """A datagram comes that nobody's client sent: these very bytes."""
        self.lines.append(f"\n# {why}")
        self.arrives(seat, "somebody", line)
        self.settle()

    def asks(self, seat: str, message: Any, why: str) -> None:
        """Somebody sends by hand what their client would not send."""
        self.lines.append(f"\n# {why}")
        self.perform(seat, [Send(message)])
        self.settle()

    def last(self, way: str) -> bytes:
        """The last bytes that went this way, such as `alice → bob`."""
        at = max(i for i, line in enumerate(self.lines) if line == way)
        return self.lines[at + 1].strip().encode()

    def leave(self, seat: str) -> None:
        """The connection is gone."""
        del self.clients[seat]
        self.desk.hang_up(self.connections.pop(seat))

    def settle(self) -> None:
        """Deliver everything, until nothing is left."""
        while [seat for seat in list(self.clients) if seat not in self.asleep and self.deliver(seat)]:
            pass

    def deliver(self, seat: str) -> bool:
        """Deliver what waits for one client; was there anything?"""
        post = self.desk.read(self.connections[seat])
        for message in post:
            if isinstance(message, Close):
                self.lines.append(f"server closes {seat}")
            else:
                wire = self.write(f"server → {seat}", message)
                client = self.clients[seat]
                self.perform(seat, client.received(decoder(client.accepts).decode(wire)))
        if Close() in post:
            self.clients.pop(seat, None)
        return bool(post)

    def arrives(self, seat: str, sender: str, wire: bytes) -> None:
        """A datagram reaches a client."""
        self.lines += [f"{sender} → {seat}", f"    {wire.decode()}"]
        client = self.clients[seat]
        self.perform(seat, client.datagram(decoder(client.whispers).decode(wire), ELSEWHERE))

    def write(self, way: str, message: Any) -> bytes:
        """The bytes of a message, without the end of the line, and a line of the transcript for them."""
        wire = encode(message).rstrip(b"\n")
        self.lines += [way, f"    {wire.decode()}"]
        return wire

    def perform(self, seat: str, effects: list[Any]) -> None:
        """Carry out what a client answered, as the runtime does. An effect that nobody knows is an error."""
        for effect in effects:
            match effect:
                case Send(message=message):
                    wire, connection = self.write(f"{seat} → server", message), self.connections[seat]
                    self.desk.hand(connection, decoder(connection.accepts).decode(wire))
                    self.lines += ["server works in the pool"] * len(self.desk.waiting)
                    self.desk.work()
                case Datagram(message=message, to=(_, port)):
                    to = next(other for other, client in self.clients.items() if client.udp_port == port)
                    self.arrives(to, seat, encode(message).rstrip(b"\n"))
                case Later(seconds=seconds):
                    self.lines.append(f"{seat} waits {seconds} s")
                    self.timers[seat].append(effect)
                case Show(kind=kind, text=text, sender=sender):
                    self.lines.append(f"{seat} sees [{kind}] {f'{sender}: ' if sender else ''}{text}")
                case Close():
                    self.lines.append(f"{seat} closes")
                case _:
                    raise AssertionError(f"no transcript knows {effect}")


class Numbers:
    """1, 2, 3 … where randomness is asked for; it stands where the module `os` or `X25519PrivateKey` stands."""

    def __init__(self) -> None:
        self.numbers: Iterator[int] = itertools.count(1)

    def urandom(self, size: int) -> bytes:
        """As many bytes as asked for."""
        return next(self.numbers).to_bytes(size, "big")

    def generate(self) -> X25519PrivateKey:
        """A private key."""
        return X25519PrivateKey.from_private_bytes(self.urandom(32))


def frozen(stage: int) -> Path:
    """The file that holds what a stage's conversation must be."""
    return Path(__file__).parent / f"stage{stage}" / "transcript.txt"


def assert_frozen(stage: int, now: str, how: str = "") -> None:
    """Fail with the lines that differ from the frozen ones, and with how to freeze the new ones, or what else to do."""
    before = frozen(stage).read_text(encoding="utf-8")
    if now == before:
        return
    diff = difflib.unified_diff(before.splitlines(), now.splitlines(), "frozen", "now", lineterm="")
    how = how or f"If stage {stage} was meant to change, freeze it anew with: python -m tests.transcripts {stage}"
    pytest.fail("\n".join(["The conversation is not the frozen one:", *diff, how]), pytrace=False)


def freeze(stage: int) -> None:
    """Write a stage's transcript as it is now."""
    script = importlib.import_module(f"tests.stage{stage}.transcript")
    with tempfile.TemporaryDirectory() as folder:
        frozen(stage).write_text(script.transcript(Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Say which stages are to be frozen anew: python -m tests.transcripts 3")
    for number in sys.argv[1:]:
        freeze(int(number))
