"""How busy a network may be until a listener loses frames: the ring, against recv, and against scapy.

    python -m benchmarks.live [--rounds 3]

On a LAN of the lab's own, a hub, one host sends chat packets at a fixed rate (`peers/flood.c`, on the first core), and
another listens (on the last). Each listener makes typed messages of all that it hears, while the frames come:

    ring    the memory that the kernel shares (`common.ring`), and the lab's listener
    recv    a packet socket as it comes, a call a frame, and the lab's listener
    scapy   the same socket, and scapy's layers of every frame, as its own sniffer builds them

A rate counts as held where every message that was sent was heard, and the kernel says that nothing was dropped. Rates
rise step by step until one is not held, or the sender cannot send faster.
"""

import argparse
import os
import select
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from attacks.listener import Listener
from benchmarks import peers
from benchmarks.captures import MEMBERS, PORT, segment
from benchmarks.rows import Result, Row, Tell
from common.errors import LabError
from common.lan import Lan, LanHost, LanUnavailable
from common.messages import Say
from common.ring import PlainEar, RingEar, ear_of
from common.wire import encode

ASKED: Final = 50_000
RATES: Final = (2_000, 5_000, 10_000, 20_000, 35_000, 52_000, 75_000, 100_000, 150_000)
SECONDS: Final = 1.0
REACHED: Final = 0.95
"""A sender that falls short of this share of a rate can do no more."""
LIMITS_SAID: Final = (
    f"A LAN of two hosts, chat packets of one message each, {SECONDS:.0f} s a rate; the sender on one core, the "
    "listener on the other, where each frame becomes a typed message as it comes."
)
Hear = Callable[[bytes], int]


@dataclass(frozen=True)
class Heard:
    """One rate: how many packets a second were sent, how many in all, how many became messages, how many the kernel
    dropped."""

    rate: float
    sent: int
    heard: int
    lost: int

    @property
    def whole(self) -> bool:
        """Was everything heard?"""
        return self.heard == self.sent and not self.lost


def packets(count: int) -> bytes:
    """So many frames, each after its length, as the sender reads them."""
    parts, sent = [], [0] * MEMBERS
    for number in range(count):
        who = number % MEMBERS
        line = encode(Say(sender=f"member-{who}", text=f"This is message number {number} of this capture."))
        frame = segment(who, sent[who], line)
        sent[who] += len(line)
        parts += [struct.pack("=I", len(frame)), frame]
    return b"".join(parts)


def by_lab() -> Hear:
    """The lab's listener: messages, and no layers."""
    listener = Listener(PORT)
    return lambda frame: len(listener.hear(frame))


def by_scapy() -> Hear:
    """A frame's layers, the lab's among them."""
    from scapy.layers.inet import TCP
    from scapy.layers.l2 import Ether

    return lambda frame: bool(TCP in (packet := Ether(frame)) and packet[TCP].payload)


def ring(host: LanHost) -> PlainEar:
    """The ring; LabError where there is none, since then there is nothing to measure."""
    ear = ear_of(host.packet_socket())
    if not isinstance(ear, RingEar):
        raise LabError(f"There is {ear.why}.")
    return ear


def recv(host: LanHost) -> PlainEar:
    """The socket as it comes."""
    return PlainEar(host.packet_socket())


LISTENERS: Final[dict[str, tuple[Callable[[LanHost], PlainEar], Callable[[], Hear]]]] = {
    "ring": (ring, by_lab),
    "recv": (recv, by_lab),
    "scapy": (recv, by_scapy),
}


def listen(lan: Lan, sender: Path, name: str, frames: Path, rate: int) -> Heard:
    """Send at this rate, and hear it."""
    make, hears = LISTENERS[name]
    hear, found = hears(), 0
    with make(lan.hosts["eve"]) as ear, lan.hosts["alice"].packet_socket() as out, frames.open("rb") as source:
        out.setblocking(True)
        command = [str(sender), str(out.fileno()), str(rate), str(SECONDS)]
        with subprocess.Popen(
            command,
            stdin=source,
            stdout=subprocess.PIPE,
            pass_fds=[out.fileno()],
            preexec_fn=peers.onto_the_first_core,  # noqa: PLW1509 - no thread runs here
        ) as process:
            while process.poll() is None:
                select.select([ear], [], [], 0.05)
                found += sum(map(hear, ear.heard()))
            said = process.stdout.read().split() if process.stdout else []
        if process.returncode:
            raise LabError("The sender of packets failed; is the machine out of memory?")
        found += sum(map(hear, ear.flushed()))
        sent, micros = (int(word) for word in said)
        return Heard(1e6 * sent / micros, sent, found, ear.lost)


def highest(lan: Lan, sender: Path, name: str, folder: Path, say: Tell) -> float:
    """The highest rate in packets/s at which nothing is lost, one after another; 0 where the lowest is too much."""
    best = 0.0
    for rate in RATES:
        frames = folder / f"{rate}.frames"
        if not frames.exists():
            frames.write_bytes(packets(int(rate * SECONDS)))
        heard = listen(lan, sender, name, frames, rate)
        say(f"{name}: {heard.rate:,.0f} packets/s, {heard.heard:,} of {heard.sent:,} heard, {heard.lost:,} dropped")
        if heard.whole:
            best = heard.rate
        if not heard.whole or heard.rate < REACHED * rate:
            break
    return best


def measure(rounds: int, say: Tell) -> dict[str, float]:
    """For each listener the highest rate without loss, a median over the rounds. Raises LabError where there is no LAN,
    or no compiler."""
    rates: dict[str, list[float]] = {name: [] for name in LISTENERS}
    allowed = os.sched_getaffinity(0)
    try:
        lan = Lan.build(["alice", "eve"])
    except LanUnavailable as error:
        raise LabError(f"A live sniff needs the LAN. {error}") from None
    try:
        lan.become("hub")
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            sender = peers.compiled(Path(folder), "flood")
            peers.onto_the_last_core()
            for _ in range(rounds):
                for name in LISTENERS:
                    rates[name].append(highest(lan, sender, name, Path(folder), say))
    finally:
        os.sched_setaffinity(0, allowed)
        lan.close()
    return {name: statistics.median(held) for name, held in rates.items()}


def result(say: Tell, rounds: int = 3) -> Result:
    """The rows for the page."""
    rates = measure(rounds, say)
    ours = rates["ring"]
    why = "" if ours >= ASKED else "The sender and the listener share the machine with other work."
    return Result(
        limits=LIMITS_SAID,
        rows=[
            Row(name="highest rate, none lost", ours=ours, unit="packets/s", target="live", why=why),
            Row(name="the same", ours=ours, unit="packets/s", against="recv, a call a frame", theirs=rates["recv"]),
            Row(name="the same", ours=ours, unit="packets/s", against="scapy's layers", theirs=rates["scapy"]),
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A live sniff: the ring, against recv and scapy.")
    parser.add_argument("--rounds", type=int, default=3)
    try:
        made = result(print, parser.parse_args(arguments).rounds)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    for row in made.rows:
        print(f"{row.name}, {row.against or 'alone'}: {row.ours:,.0f}; figure {row.figure:,.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
