"""A room for minutes, with everything going wrong around those who just want to talk: `make soak`.

    make soak                            ten minutes, stages 1 to 5 in turn
    make soak MINUTES=5 ARGS="--stage 3"

Of 200 members a fifth stays, and judges; others come, talk and leave, and to some something happens: resets, kills,
stalled readers, garbage. At the end nothing may be lost or doubled among those who were connected throughout, the
server's memory must be flat, and no descriptor and no task may be left over, on either side. Exit status 1 if not.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import stages
from common.levers import Levers
from tests.faults.soak_members import FAULTS, Member, Room

RATE: Final = {1: 25.0, 2: 25.0, 3: 20.0, 4: 20.0, 5: 4.0}
"""Messages a second that are said in the room, by stage: at stage 5 each is a box for everybody."""
IN_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the members' files are, if it can be had: at stage 5 all of 200 wait for a disk whenever somebody new comes."""
GROWTH_KIB: Final = 6 * 1024
SLOPE_KIB: Final = 512
"""How far the server's memory may grow after the first third, and how fast, in KiB a minute, in a soak of minutes."""


class Server:
    """The server's process, and what it said that it holds."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.memory: list[tuple[float, int]] = []

    async def line(self) -> dict[str, int]:
        """Its next answer."""
        assert self.process.stdout
        answer: dict[str, int] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30))
        return answer

    async def held(self) -> dict[str, int]:
        """Ask what it holds."""
        assert self.process.stdin
        self.process.stdin.write(b"?\n")
        answer = await self.line()
        self.memory.append((time.monotonic(), answer["rss"]))
        return answer


class Soak:
    """One stage's room for some seconds."""

    def __init__(self, room: Room, server: Server, members: int, dice: random.Random) -> None:
        self.room, self.server, self.dice = room, server, dice
        names = [f"member-{number}" for number in range(members)]
        self.steady = [Member(room, name) for name in names[: members // 5]]
        self.guests = [Member(room, name) for name in names[members // 5 : members * 3 // 5]]
        self.victims = [Member(room, name) for name in names[members * 3 // 5 :]]
        room.ledger.loose |= {victim.name for victim in self.victims}

    async def run(self, seconds: float) -> None:
        """Fill the room, let everything happen, and empty it."""
        for member in self.steady:
            if not await member.comes():
                raise SystemExit(f"{member.name} did not come in: {self.room.ledger.wrong}")
        self.room.ledger.judges = {member.name for member in self.steady}
        until = time.monotonic() + seconds
        lives = [asyncio.create_task(self.guest(guest, until)) for guest in self.guests]
        lives += [asyncio.create_task(self.victim(victim, until)) for victim in self.victims]
        lives += [asyncio.create_task(work(until)) for work in (self.talk, self.strangers, self.watch)]
        await asyncio.gather(*lives)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):  # what is on its way still comes
                while self.room.ledger.missing():
                    self.room.ledger.news.clear()
                    await self.room.ledger.news.wait()
        self.room.ledger.wrong += self.room.ledger.missing()
        for member in self.steady:
            await member.leaves()

    async def pause(self, longest: float, until: float) -> bool:
        """Some time goes by; is there time left?"""
        await asyncio.sleep(min(self.dice.uniform(0, longest), max(0.0, until - time.monotonic())))
        return time.monotonic() < until

    async def guest(self, guest: Member, until: float) -> None:
        """Come, stay a while, leave, and come again."""
        while await self.pause(10, until):
            if not await guest.comes():
                self.room.ledger.wrong.append(f"{guest.name} was not let in")
            await self.pause(20, until)
            await guest.leaves()

    async def victim(self, victim: Member, until: float) -> None:
        """The same, and something happens."""
        while await self.pause(10, until):
            if await victim.comes() and await self.pause(15, until):
                await victim.suffers(self.dice.choice(FAULTS[:-1]), self.dice)
            else:
                await victim.leaves()
        await victim.leaves()

    async def talk(self, until: float) -> None:
        """Somebody who is inside says something."""
        everybody = [*self.steady, *self.guests, *self.victims]
        while await self.pause(2 / RATE[self.room.stage.number], until):
            self.dice.choice([member for member in everybody if member.inside]).speaks()

    async def strangers(self, until: float) -> None:
        """Now and then somebody comes who speaks nonsense."""
        while await self.pause(1, until):
            await self.room.garbage(self.dice)

    async def watch(self, until: float) -> None:
        """Ask the server what it holds, and say how it goes."""
        told = began = time.monotonic()
        seen = 0
        while time.monotonic() < until:
            await asyncio.sleep(min(1.0, max(0.0, until - time.monotonic())))
            held = await self.server.held()
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                counts = self.room.ledger.counts
                print(
                    f"stage {self.room.stage.number}, {told - began:.0f} s: {held['connections']} connected, "
                    f"{counts['messages']} messages, {counts['deliveries to judges']} deliveries judged, "
                    f"{sum(counts[fault] for fault in FAULTS)} faults, {held['rss'] / 1024:.1f} MiB, "
                    f"{len(self.room.ledger.wrong)} wrong",
                    flush=True,
                )
                for sentence in self.room.ledger.wrong[seen : seen + 3]:
                    print(f"! {sentence}", flush=True)
                seen = len(self.room.ledger.wrong)


def of_memory(samples: list[tuple[float, int]], seconds: float) -> tuple[str, list[str]]:
    """What the server's memory did after the first third, and what is wrong with it.

    Of every tenth of that time the smallest value counts: a password that is just being hashed takes 19 MiB and gives
    them back, and a leak lifts the floor.
    """
    later = samples[len(samples) // 3 :]
    tenth = max(1, len(later) // 10)
    floor = [min(later[start : start + tenth], key=lambda sample: sample[1]) for start in range(0, len(later), tenth)]
    slope = statistics.linear_regression(*zip(*floor, strict=True)).slope * 60 if len(floor) > 1 else 0
    growth = floor[-1][1] - floor[0][1]
    words = f"memory {floor[-1][1] / 1024:.1f} MiB, {growth:+.0f} KiB after the first third, {slope:+.0f} KiB a minute"
    steep = slope > SLOPE_KIB and seconds >= 120
    return words, [words] if growth > GROWTH_KIB or steep else []


async def soak(number: int, seconds: float, members: int, levers: str, dice: random.Random) -> bool:
    """One stage; True where all was well."""
    stage = stages.find(number)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=IN_MEMORY) as name:
        folder = Path(name)
        (folder / "server").mkdir()
        before = len(os.listdir("/proc/self/fd"))
        command = (sys.executable, "-m", "tests.faults.soak_server", str(number), levers)
        process = await asyncio.create_subprocess_exec(
            *command, str(folder / "server"), str(members * 2), stdin=PIPE, stdout=PIPE
        )
        server = Server(process)
        address = ("127.0.0.1", (await server.line())["port"])
        empty = await server.held()
        server.memory.clear()
        room = Room(stage, Levers.parse(levers, stage.levers), address, folder)
        room.stall = min(room.stall, seconds / 3)
        await Soak(room, server, members, dice).run(seconds)
        after, wrong = await emptied(server, empty), room.ledger.wrong
        words, steep = of_memory(server.memory, seconds)
        wrong += steep
        for what in ("descriptors", "tasks", "connections", "open", "working"):
            if after[what] != empty[what]:
                wrong.append(f"the server holds {after[what]} {what}, and had {empty[what]} at first")
        process.stdin.close()  # type: ignore[union-attr]
        if await process.wait():
            wrong.append(f"the server ended with status {process.returncode}")
    await asyncio.sleep(0)
    gc.collect()
    if (left := len(asyncio.all_tasks()) - 1) or len(os.listdir("/proc/self/fd")) > before:
        wrong.append(f"the members left {left} tasks and {len(os.listdir('/proc/self/fd')) - before} descriptors")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(room.ledger.counts.items()))
    print(f"stage {number}, {seconds:.0f} s, {members} members: {counts}; {words}; {len(wrong)} wrong", flush=True)
    for sentence in wrong[:20]:
        print(f"! {sentence}", flush=True)
    return not wrong


async def emptied(server: Server, empty: dict[str, int]) -> dict[str, int]:
    """What the server holds when everybody has gone, at the latest after its own time-outs."""
    until = time.monotonic() + 15
    while True:  # it is another process: it has to be asked
        held = await server.held()
        if held["descriptors"] <= empty["descriptors"] or time.monotonic() > until:
            return held
        await asyncio.sleep(0.2)


def main(arguments: list[str] | None = None) -> int:
    """`python -m tests.faults.soak`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, all stages together")
    parser.add_argument("--stage", type=int, choices=sorted(stages.catalogue()), help="one stage; else all in turn")
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--levers", default="", help="as in password_hash=salted-sha256")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args(arguments)
    numbers = [options.stage] if options.stage else list(stages.catalogue())
    print(f"{options.minutes:g} minutes; the same again: --seed {options.seed}", flush=True)
    dice, seconds = random.Random(options.seed), options.minutes * 60 / len(numbers)
    well = [asyncio.run(soak(number, seconds, options.members, options.levers, dice)) for number in numbers]
    print("All was well." if all(well) else "Not all was well.", flush=True)
    return 0 if all(well) else 1


def by_hand() -> int:
    """The same, and Ctrl-C ends it."""
    try:
        return main()
    except KeyboardInterrupt:
        print("Stopped before the end: nothing is known.")
        return 130


if __name__ == "__main__":
    sys.exit(by_hand())
