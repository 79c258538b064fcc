"""How fast a room is, against the servers that people would pick instead, and against C.

    python -m benchmarks.brokers [--rounds 3] [--seconds 0.5] [--only NAME] [--json]

Each server runs on one core, the load (`peers/load.c`) on the other: some members in one room, of whom ten speak, texts
of 100 bytes, so many messages in flight in the whole room at any time. A delivery is a message that reached a member.
All servers are there from the beginning and take turns under each load, so that a machine that becomes slower becomes
so for all: what can be trusted are the ratios, and those to a second of the server's own processor most.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.peers import Peer
from benchmarks.rows import Result, Row, Slice, Tell
from benchmarks.sampling import sampled
from benchmarks.serve import PASSWORD, PROFILE
from common.errors import LabError

SENDERS: Final = 10
PACED: Final = 500_000
"""Deliveries a second at which latency is measured."""
LIMITS_SAID: Final = (
    "The lab's servers run with 20,000 connections, 600 s to join, a backlog of 256 MiB for a member and no limit of "
    "speed; mosquitto without a limit of its queue; InspIRCd without flood limits; nats-server and nginx as they come."
)
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


FEW, MANY, CROWD, STEADY = LOADS = (Load(100, 10), Load(100, 1000), Load(1000, 1000), Load(100, 0, PACED))


@dataclass(frozen=True)
class Contender:
    """A server: its name, what it speaks, how it is started, what it needs, and which loads it gets."""

    name: str
    protocol: str
    start: Start
    needs: tuple[str, ...] = ()
    loads: tuple[Load, ...] = LOADS


def _stage(number: int) -> Start:
    return lambda folder: peers.lab(folder, number, 1000)


def _in_c(way: str) -> Start:
    return lambda folder: peers.in_c(folder, way)


STAGES: Final = ("stage 1", "stage 2", "stage 3")
C, C_SEALED, NATS, MOSQUITTO, SECURE, NGINX = (
    *("C, batching", "C, batching, stage 3's lines", "nats-server", "mosquitto"),
    *("stage 4 (TLS 1.3)", "nginx + C (TLS 1.3)"),
)
CONTENDERS: Final = (
    Contender("stage 1", "lab", _stage(1)),
    Contender("stage 2", "login", _stage(2)),
    Contender("stage 3", "sealed", _stage(3)),
    Contender(C, "lab", _in_c("batch")),
    Contender(C_SEALED, "sealed", _in_c("batch")),
    Contender("C, one send each", "lab", _in_c("each"), (), (FEW, MANY)),
    Contender(NATS, "nats", peers.nats, ("nats-server",)),
    Contender(MOSQUITTO, "mqtt", peers.mosquitto, ("mosquitto",), (FEW, MANY, CROWD)),
    Contender("inspircd", "irc", peers.inspircd, ("inspircd",), (FEW, MANY, CROWD)),
    Contender(SECURE, "sealed-tls", _stage(4), (), (MANY,)),
    Contender(NGINX, "sealed-tls", peers.nginx_before_c, ("nginx",), (MANY,)),
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

    def __str__(self) -> str:
        numbers = (self.median(what) for what in ("deliveries", "per_cpu", "p99_us"))
        return f"{self.server:<30} {self.load!s:<28}" + "".join(f"{number:>14,.0f}" for number in numbers)


HEAD: Final = f"{'server':<30} {'load':<28}{'deliveries/s':>14}{'to a CPU s':>14}{'p99, µs':>14}"


class Loaded:
    """A server, and the members who are in its room and do what they are told. Raises LabError where they do not."""

    def __init__(self, contender: Contender, members: int, binary: Path, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self.peer = stack.enter_context(contender.start(self.folder))
        words = (contender.protocol, self.peer.port, members, SENDERS, PASSWORD)
        self._load = stack.enter_context(
            subprocess.Popen(
                [str(binary), *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=peers.onto_the_last_core,  # noqa: PLW1509 - no thread runs here
            )
        )
        stack.callback(self._load.kill)
        self._line()

    def run(self, load: Load, seconds: float) -> tuple[dict[str, Any], float]:
        """Put one load on it: what the load counted, and the seconds of processor that the server took."""
        if not self._load.stdin:
            raise ValueError("the load is started with pipes")
        print(load.in_flight, load.rate, seconds, file=self._load.stdin, flush=True)
        self._line()
        before = self.peer.cpu_seconds()
        said = self._line()
        took = self.peer.cpu_seconds() - before
        self._line()
        return json.loads(said), took

    def profile(self, load: Load, seconds: float) -> list[Slice]:
        """Where the time of a server of the lab's goes under this load."""
        with sampled(self.peer.processes[0], self.folder / PROFILE) as slices:
            self.run(load, seconds)
        return slices

    def _line(self) -> str:
        """What the load says next: that all are in the room, that it is warm, what it counted, that all is quiet."""
        if not (self._load.stdout and self._load.stderr):
            raise ValueError("the load is started with pipes")
        if not (line := self._load.stdout.readline()):
            raise LabError(f"The load came to no end: {self._load.stderr.read().strip()}")
        return line


class Field:
    """All servers that are there, each with as many members as its loads want."""

    def __init__(self, contenders: Sequence[Contender], stack: ExitStack, say: Tell) -> None:
        self.left_out: list[str] = []
        self.loaded: dict[tuple[str, int], Loaded] = {}
        self.measured: dict[tuple[str, Load], Measured] = {}
        self._contenders = contenders
        binary = peers.compiled(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))), "load")
        for contender in contenders:
            if absent := peers.missing(*contender.needs):
                self.left_out.append(f"{contender.name}: {', '.join(absent)} is not installed.")
                continue
            say(f"{contender.name} comes, and its members.")
            for members in sorted({load.members for load in contender.loads}):
                self.loaded[contender.name, members] = Loaded(contender, members, binary, stack)

    def measure(self, rounds: int, seconds: float, say: Tell) -> None:
        """Every load, in rounds in which the servers take turns."""
        for load in LOADS:
            for contender in self._contenders:
                if load in contender.loads and (contender.name, load.members) in self.loaded:
                    self.measured[contender.name, load] = Measured(contender.name, load)
            there = [measured for (_, its), measured in self.measured.items() if its == load]
            for _ in range(rounds):
                for measured in there:
                    said, cpu = self.loaded[measured.server, load.members].run(load, seconds)
                    measured.deliveries.append(said["deliveries"] / said["seconds"])
                    measured.per_cpu.append(said["deliveries"] / max(cpu, 0.01))
                    measured.p99_us.append(said["p99_us"])
            for measured in there:
                say(str(measured))

    def row(self, server: str, load: Load, against: str, target: str, what: str = "per_cpu") -> Row | None:
        """One comparison; none where one of the two is not there."""
        ours, theirs = self.measured.get((server, load)), self.measured.get((against, load))
        if not (ours and theirs):
            return None
        return Row(
            name=f"{server}: {load}",
            ours=ours.median(what),
            theirs=theirs.median(what),
            unit="µs, p99" if what == "p99_us" else "deliveries to a CPU second",
            against=against,
            target=target,
            profile=f"{server}: {load}",
        )


def rows(field: Field) -> Iterator[Row | None]:
    """Every comparison that somebody asked for, and those that tell how far it is to the others."""
    for stage in STAGES:
        limit = C_SEALED if stage == "stage 3" else C
        yield field.row(stage, FEW, NATS, "nats-10")
        for load in (MANY, CROWD):
            yield field.row(stage, load, NATS, "nats-1000")
            yield field.row(stage, load, MOSQUITTO, "mosquitto-1000")
        for load in (FEW, MANY, CROWD):
            yield field.row(stage, load, limit, "c")
        yield field.row(stage, STEADY, limit, "p99", "p99_us")
    yield field.row(SECURE, MANY, NGINX, "nginx")
    for other in ("inspircd", "C, one send each", MOSQUITTO):
        for load in LOADS:
            yield field.row("stage 1", load, other, "") if (other, load) != (MOSQUITTO, MANY) else None


def result(say: Tell, rounds: int = 3, seconds: float = 0.5) -> Result:
    """All servers, all loads. Raises LabError."""
    made = Result(limits=LIMITS_SAID)
    with ExitStack() as stack:
        field = Field(CONTENDERS, stack, say)
        field.measure(rounds, seconds, say)
        made.rows, made.left_out = [row for row in rows(field) if row], field.left_out
        loads = {str(load): load for load in LOADS}
        for name in dict.fromkeys(row.profile for row in made.rows if row.met is False):
            server, _, load = name.partition(": ")
            say(f"Where does the time of {name} go?")
            made.profiles[name] = field.loaded[server, loads[load].members].profile(loads[load], 2 * seconds)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A room's speed, against other servers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--only", action="append", help="one of the servers, by its name; may be given several times")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [each for each in CONTENDERS if not options.only or each.name in options.only]
    say: Tell = (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    say(HEAD)
    with contextlib.suppress(KeyboardInterrupt), ExitStack() as stack:
        field = Field(chosen, stack, say)
        field.measure(options.rounds, options.seconds, say)
        if options.json:
            print(json.dumps([asdict(measured) for measured in field.measured.values()]))


if __name__ == "__main__":
    main()
