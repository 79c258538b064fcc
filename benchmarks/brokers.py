"""How fast a room is, against the servers that people would pick instead, and against C.

    python -m benchmarks.brokers [--rounds 3] [--seconds 2] [--json]

Each server runs on one core, the load (`peers/load.c`) on the other: some members in one room, of whom ten speak, texts
of 100 bytes, so many messages in flight in the whole room at any time. A delivery is a message that reached a member.
What is slower on a machine where other things run is slower for all: the numbers to trust are the ratios, and those to
a second of the server's own processor most.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.peers import Peer
from benchmarks.serve import PASSWORD
from common.errors import LabError

SENDERS: Final = 10
PACED: Final = 500_000
"""Deliveries a second at which latency is measured."""
Start = Callable[[Path], AbstractContextManager[Peer]]


@dataclass(frozen=True)
class Load:
    """What is done to a server: so many members, so many messages in flight, or so many deliveries a second."""

    members: int
    in_flight: int
    rate: int = 0

    def __str__(self) -> str:
        how = f"{self.rate // 1000} k/s" if self.rate else f"{self.in_flight} in flight"
        return f"{self.members} members, {how}"


LOADS: Final = (Load(100, 10), Load(100, 1000), Load(1000, 1000), Load(100, 0, PACED))


@dataclass
class Contender:
    """A server: its name, what it speaks, how it is started."""

    name: str
    protocol: str
    start: Start
    needs: tuple[str, ...] = ()
    loads: tuple[Load, ...] = LOADS


def _stage(number: int) -> Start:
    return lambda folder: peers.lab(folder, number, 1000)


CONTENDERS: Final = (
    Contender("stage 1", "lab", _stage(1)),
    Contender("stage 2", "login", _stage(2)),
    Contender("stage 3", "sealed", _stage(3)),
    Contender("C, batching", "lab", lambda folder: peers.in_c(folder, "batch")),
    Contender("C, one send each", "lab", lambda folder: peers.in_c(folder, "each"), (), LOADS[:3]),
    Contender("nats-server", "nats", peers.nats, ("nats-server",)),
    Contender("mosquitto", "mqtt", peers.mosquitto, ("mosquitto",), LOADS[:3]),
    Contender("inspircd", "irc", peers.inspircd, ("inspircd",), LOADS[:3]),
    Contender("stage 4 (TLS 1.3)", "sealed-tls", _stage(4), (), (LOADS[1],)),
    Contender("nginx + C (TLS 1.3)", "sealed-tls", peers.nginx_before_c, ("nginx",), (LOADS[1],)),
)


@dataclass
class Measured:
    """What came of one load on one server, of each round."""

    server: str
    load: Load
    deliveries: list[float] = field(default_factory=list)
    """A second."""
    per_cpu: list[float] = field(default_factory=list)
    """To a second of the server's processor."""
    p99_us: list[float] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The middle one of the rounds."""
        return float(statistics.median(getattr(self, what)))


def loaded(peer: Peer, binary: Path, protocol: str, load: Load, seconds: float) -> tuple[dict[str, Any], float]:
    """Put one load on a server: what the load says, and the seconds of processor that the server took.

    Raises LabError where the load ends without a result.
    """
    words = (protocol, peer.port, load.members, SENDERS, load.in_flight, seconds, load.rate, PASSWORD)
    with subprocess.Popen(
        [str(binary), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=peers.onto_the_last_core,  # noqa: PLW1509 - no thread runs here
    ) as process:
        try:
            said = _conversation(process, peer)
        finally:
            process.kill()
    return said


def _conversation(process: "subprocess.Popen[str]", peer: Peer) -> tuple[dict[str, Any], float]:
    """The load says that all are there, and is told to begin; says that it is warm; and at last what it has counted."""
    if not (process.stdin and process.stdout and process.stderr):
        raise ValueError("the load is started with pipes")
    if process.stdout.readline().startswith("ready"):
        process.stdin.write("\n")
        process.stdin.flush()
    warm = process.stdout.readline()
    before = peer.cpu_seconds()
    said = process.stdout.readline()
    took = peer.cpu_seconds() - before
    if not (warm and said):
        raise LabError(f"The load came to no end: {process.stderr.read().strip()}")
    return json.loads(said), took


def measure(contender: Contender, binary: Path, rounds: int, seconds: float) -> Iterator[Measured]:
    """Every load of one server. Raises LabError."""
    for load in contender.loads:
        measured = Measured(contender.name, load)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder, contender.start(Path(folder)) as peer:
                said, cpu = loaded(peer, binary, contender.protocol, load, seconds)
            measured.deliveries.append(said["deliveries"] / said["seconds"])
            measured.per_cpu.append(said["deliveries"] / max(cpu, 0.01))
            measured.p99_us.append(said["p99_us"])
        yield measured


def measured(
    rounds: int, seconds: float, say: Callable[[str], None], contenders: Sequence[Contender] = CONTENDERS
) -> list[Measured]:
    """Those servers that are there, under all loads; what is left out is said. Raises LabError."""
    results: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        binary = peers.compiled(Path(folder), "load")
        for contender in contenders:
            if absent := peers.missing(*contender.needs):
                say(f"{contender.name} is left out: {', '.join(absent)} is not installed.")
                continue
            for result in measure(contender, binary, rounds, seconds):
                results.append(result)
                say(row(result))
    return results


def row(result: Measured) -> str:
    """One line of the table."""
    numbers = (result.median(what) for what in ("deliveries", "per_cpu", "p99_us"))
    return f"{result.server:<20} {result.load!s:<28}" + "".join(f"{number:>14,.0f}" for number in numbers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A room's speed, against other servers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", action="append", help="one of the servers, by its name; may be given several times")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [each for each in CONTENDERS if not options.only or each.name in options.only]
    head = f"{'server':<20} {'load':<28}{'deliveries/s':>14}{'to a CPU s':>14}{'p99, µs':>14}"
    with contextlib.suppress(KeyboardInterrupt):
        if not options.json:
            print(head, flush=True)
        say = (lambda line: None) if options.json else (lambda line: print(line, flush=True))
        results = measured(options.rounds, options.seconds, say, chosen)
        if options.json:
            print(json.dumps([asdict(result) for result in results]))


if __name__ == "__main__":
    main()
