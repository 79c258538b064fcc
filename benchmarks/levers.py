"""What each lever costs: `make bench-levers`, a table and a picture.

    python -m benchmarks.levers [--stage 3] [--rounds 3] [--pages]

Each setting of each lever is measured at the stage where the lever first appears, and each stage with its defaults. The
stage's own server runs as a program of its own on one core; its members, the stage's own clients, run in this process
on another. Member 0 talks, the others' clients show it. Six figures for each setting, medians of the rounds:

- messages a second: fifty messages typed at once, until the last is on everybody's screen
- latency: from typing one message until it is on everybody's screen, in milliseconds
- up, down: what one message of 100 characters takes of the wire, from whoever speaks to the server and from there to
  each listener: bytes in TCP, those of TLS included (Linux: `struct tcp_info`)
- entering: from dialling until the client says who is here, in milliseconds: TCP, TLS, the password, the room key
- processor: what one such message takes of the server's processor and of all clients', in microseconds
- memory: what each member adds to the server's resident memory, in KiB

The server's limits are set wider than anything here, since speed is measured and not who is refused; so the lever
`limits` is left out, and so are the levers of the LAN, which change no message. Clients always run in one event loop.
"""

import argparse
import asyncio
import json
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import stages
from benchmarks import peers
from benchmarks.levers_page import COLUMNS, Row, markdown, picture, table
from benchmarks.peers import Peer
from common.client import Client
from common.errors import LabError
from common.files import write_whole
from common.hosts import ThisMachine
from common.levers import LAN, Levers
from common.session import Person, Show
from lab.hosting import start_client

MEMBERS: Final = 20
EARLY: Final = 4
"""Memory is counted from this member on: the first ones bring what is needed once."""
BURST: Final = 50
BURSTS: Final = 3
SINGLES: Final = 20
RETURNS: Final = 3
TEXT: Final = "{:0100d}"
PATIENCE: Final = 5.0
PASSWORD: Final = "correct horse"  # noqa: S105 - of accounts that exist for seconds
LEFT_OUT: Final = {"limits", *(lever.name for lever in LAN)}
HOW: Final = str(__doc__).partition("--pages]\n\n")[2].rstrip()
HERE: Final = Path(__file__).parent
RUNS: Final = HERE.parent / "runs" / "levers"


@dataclass
class Seat:
    """One member: a client, and what it has shown."""

    person: Person
    client: Client = field(init=False)
    shown: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, show: Show) -> None:
        """Count what is shown; of a list of who is here only that there is one."""
        text = "here" if show.text.startswith("here: ") else show.text
        self.shown[text] = self.shown.get(text, 0) + 1
        self.changed.set()

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until this was shown so many times. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while self.shown.get(text, 0) < times:
                self.changed.clear()
                await self.changed.wait()

    def wire(self) -> tuple[int, int]:
        """The bytes that this client has sent and received on its connection: `tcpi_bytes_sent` (at 200 in the struct)
        and `tcpi_bytes_received` (at 128)."""
        sock: socket.socket = self.client.transport.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("=Q", info, 200)[0], struct.unpack_from("=Q", info, 128)[0]


class Scene:
    """A room with one setting turned."""

    def __init__(self, stage: stages.Stage, levers: Levers, folder: Path, server: Peer) -> None:
        self.stage, self.levers, self.server = stage, levers, server
        self.seats = []
        phrase = "the room's own" if stage.wants_passphrase(levers) else ""
        for n in range(MEMBERS):
            own = folder / f"m{n:02}"
            own.mkdir(mode=0o700)
            person = Person(f"m{n:02}", 0, PASSWORD, stage.wants_password, own, passphrase=phrase)
            self.seats.append(Seat(person))

    async def enter(self, seat: Seat) -> float:
        """Milliseconds until a client says who is here."""
        began, there = time.perf_counter(), seat.shown.get("here", 0)
        address = ("127.0.0.1", self.server.port)
        seat.client = await start_client(self.stage, self.levers, ThisMachine(), address, seat.person, seat.show)
        await seat.until("here", there + 1)
        seat.person = replace(seat.person, register=False)
        return (time.perf_counter() - began) * 1000

    async def leave(self, seat: Seat) -> None:
        """Somebody leaves."""
        seat.client.close()
        await seat.client.ended.wait()

    def verify_each_other(self) -> None:
        """Where nothing is said to who was not verified: the speaker and each listener are."""
        speaker, *others = self.seats
        for other in others:
            for one, two in ((speaker, other), (other, speaker)):
                one.client.typed(f"/verify {two.person.name}")
                one.client.typed(f"/verify {two.person.name} same")

    async def hear(self, numbers: Sequence[int]) -> float:
        """Seconds from typing these messages until the last of them is on everybody's screen. Raises TimeoutError."""
        speaker, *others = self.seats
        began = time.perf_counter()
        for number in numbers:
            speaker.client.typed(TEXT.format(number))
        for other in others:
            for number in reversed(numbers):
                await other.until(TEXT.format(number))
        return time.perf_counter() - began

    async def measure(self) -> dict[str, float]:
        """The figures by their names in COLUMNS; no `rate` where not all of a burst arrived."""
        for seat in self.seats[:EARLY]:
            await self.enter(seat)
        before = self.server.memory()
        for seat in self.seats[EARLY:]:
            await self.enter(seat)
        found = {"memory": (self.server.memory() - before) / 1024 / (MEMBERS - EARLY)}
        if self.levers.get("pinning") == "verified":
            self.verify_each_other()
        await self.hear([0])
        (sent, _), (_, received) = (seat.wire() for seat in self.seats[:2])
        found["latency"] = statistics.median([await self.hear([1 + n]) * 1000 for n in range(SINGLES)])
        (sent_then, _), (_, received_then) = (seat.wire() for seat in self.seats[:2])
        found |= {"up": (sent_then - sent) / SINGLES, "down": (received_then - received) / SINGLES}
        found |= await self._bursts()
        found["entering"] = statistics.median([await self._return(self.seats[-1]) for _ in range(RETURNS)])
        for seat in self.seats:
            await self.leave(seat)
        return found

    async def _bursts(self) -> dict[str, float]:
        """Messages a second, and what one takes of the processors."""
        server, clients = self.server.cpu_seconds(), time.process_time()
        seconds = []
        for n in range(BURSTS):
            try:
                seconds.append(await self.hear(range((n + 1) * 1000, (n + 1) * 1000 + BURST)))
            except TimeoutError:  # what arrived together was taken for one message
                return {}
        server, clients = self.server.cpu_seconds() - server, time.process_time() - clients
        each = 1e6 / (BURST * BURSTS)
        return {"rate": BURST / statistics.median(seconds), "server": server * each, "clients": clients * each}

    async def _return(self, seat: Seat) -> float:
        await self.leave(seat)
        return await self.enter(seat)


def settings(only: int | None) -> Iterator[tuple[int, str, str]]:
    """Stage, lever and setting; each stage first as it is, then what is new there."""
    known: set[tuple[str, str]] = set()
    for number in stages.catalogue():
        new = [
            (lever.name, setting)
            for lever in stages.find(number).levers
            if lever.name not in LEFT_OUT
            for setting in lever.settings[1:]
        ]
        if only in (None, number):
            yield number, "", ""
            yield from ((number, *one) for one in new if one not in known)
        known.update(new)


def measured(number: int, turned: str) -> dict[str, float]:
    """The figures of one setting, in a folder of their own."""
    stage = stages.find(number)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        (folder := Path(name) / "server").mkdir(mode=0o700)
        with peers.lab(folder, number, levers=turned) as server:
            return asyncio.run(Scene(stage, Levers.parse(turned, stage.levers), Path(name), server).measure())


def measure(only: int | None, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Every setting, round by round, so that a noisy minute does not fall on one of them alone."""
    wanted = list(settings(only))
    found: dict[tuple[int, str, str], list[dict[str, float]]] = {one: [] for one in wanted}
    for at in range(rounds):
        for n, (number, lever, setting) in enumerate(wanted):
            turned = f"{lever}={setting}" if lever else ""
            say(f"round {at + 1} of {rounds}: {n + 1} of {len(wanted)}, stage {number} {turned}")
            found[number, lever, setting].append(measured(number, turned))
    return [
        Row(
            *one,
            {c.name: statistics.median(r[c.name] for r in many) for c in COLUMNS if all(c.name in r for r in many)},
        )
        for one, many in found.items()
    ]


def say(text: str) -> None:
    """Progress, on a terminal only: one line, written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(prog="make bench-levers", description="What each lever costs.")
    parser.add_argument("--stage", type=int, choices=list(stages.catalogue()), help="this stage alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pages", action="store_true", help="write benchmarks/levers.md and .svg, which handouts show")
    options = parser.parse_args(arguments)
    peers.onto_the_last_core()
    try:
        rows = measure(options.stage, options.rounds, say)
    except (LabError, OSError, TimeoutError) as error:
        raise SystemExit(f"That could not be measured: {str(error) or 'nothing arrived in time'}. Try again.") from None
    say("")
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print("\n".join(table(rows)))
    folder = HERE if options.pages else RUNS
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "levers.svg", "\n".join([*picture(rows), ""]).encode(), mode=0o644)
    if options.pages:
        write_whole(folder / "levers.md", "\n".join([*markdown(rows, options.rounds, HOW), ""]).encode(), mode=0o644)
    print(f"\nThe picture: {(folder / 'levers.svg').relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
