"""A client is killed (SIGKILL) wherever it is, while it writes its key, its pins and its counters."""

import asyncio
import contextlib
import fcntl
import os
import random
from collections import Counter
from pathlib import Path

import stages
from common.client import Client
from common.files import read_checked
from common.hosts import ThisMachine
from common.levers import Levers
from common.session import Person
from stages.stage5_box.accounts import Accounts
from stages.stage5_box.box import identity
from stages.stage5_box.pins import Pins
from stages.stage5_box.what_if.password_hash import SaltedSha256
from tests.faults.forked import Forked, port_of
from tests.room import Member, leave, run

STAGE = stages.find(5)
A_LIFE = 4
"""So many kills befall one person's folder, before another begins with an empty one."""


class Bob:
    """One person's folder, what must stay as it was in it, and all that this person ever saw."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.name = name
        self.folder = folder / name
        self.screen = folder / f"{name}.txt"
        self.arguments = ("--name", name, "--server", f":{port}", "--folder", str(self.folder))
        self.key = b""
        self.session = 0

    async def lives_for(self, seconds: float, said: int) -> None:
        """Start the program, let it talk for so long, and kill it."""
        with self.screen.open("ab") as screen:
            program = Forked(*(STAGE.package, "client", *self.arguments, "--password-fd", "0"), out=screen.fileno())
        with contextlib.closing(program):
            talking = asyncio.create_task(_talk(program, f"{self.name} {said}"))
            await asyncio.sleep(seconds)  # the moment is the fault
            talking.cancel()
            await asyncio.to_thread(program.kill)

    def check(self) -> None:
        """What is on the disk: whole, and never behind what it was."""
        if not self.folder.exists():  # killed before it did anything
            return
        if (self.folder / "lock").exists():
            with (self.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel let go of it
        if (self.folder / "identity").exists():
            key = bytes(identity(self.folder / "identity"))
            assert self.key in (b"", key), "another key than before"
            self.key = key
        if (self.folder / "session").exists():
            session = int(read_checked(self.folder / "session"))
            assert session >= self.session, "the session number went back"
            self.session = session
        met = Pins(self.folder / "pins.json").known
        assert ("alice" in met) >= (self.shown("First contact with alice") > 0), "a pin was shown, and is not kept"
        for left in ("session", "seen.json"):
            if (self.folder / left).exists():
                read_checked(self.folder / left)

    def shown(self, words: str) -> int:
        """In how many lines of the screen these words stand, over all starts."""
        return sum(words in line for line in self.lines())

    def lines(self) -> list[str]:
        """All that was ever shown."""
        return self.screen.read_text(errors="replace").splitlines() if self.screen.exists() else []


async def _talk(program: Forked, words: str) -> None:
    number = 0
    with contextlib.suppress(BrokenPipeError):
        program.types("sesame")
        while True:
            await asyncio.sleep(0.005)  # somebody who types very fast
            program.types(f"{words}-{number}")
            number += 1


async def _greet(alice: Member) -> None:
    """Alice says something all the time, so that Bob has something to write down."""
    number = 0
    while True:
        await asyncio.sleep(0.003)
        alice.says(f"word {number}")
        number += 1


async def alice_in(folder: Path, port: int) -> Member:
    """Alice, in this process."""
    levers, member = Levers(known=STAGE.levers), Member()
    (folder / "alice").mkdir()
    person = Person("alice", 0, "sesame", folder=folder / "alice")

    member.client = await Client.start(
        *(ThisMachine(), ("127.0.0.1", port)),
        lambda udp: STAGE.client(levers, Person("alice", udp, "sesame", folder=folder / "alice")),
        member.show,
        tls=STAGE.client_tls(levers, person),
    )
    assert (await member.next()).text.startswith("here: ")
    return member


async def kills(folder: Path, number: int, dice: random.Random) -> Counter[str]:
    """So many kills of Bobs; what came of it."""
    (folder / "server").mkdir()
    accounts = Accounts(folder / "server" / "accounts.sqlite", SaltedSha256())
    people = ["alice", *(f"bob{life}" for life in range(0, number, A_LIFE))]
    assert all(accounts.register(name, "sesame") for name in people)
    quick = "password_hash=salted-sha256"
    server = Forked(STAGE.package, "server", "--port", "0", "--folder", str(folder / "server"), "--levers", quick)
    came: Counter[str] = Counter()
    with contextlib.closing(server):
        port = await asyncio.to_thread(port_of, server)
        alice = await alice_in(folder, port)
        greeting = asyncio.create_task(_greet(alice))
        for life in range(0, number, A_LIFE):
            bob = Bob(folder, f"bob{life}", port)
            for kill in range(A_LIFE):
                await bob.lives_for(dice.uniform(0, 0.3), kill)
                bob.check()
            came += judged(bob, alice)
        greeting.cancel()
        await leave(alice)
    return came


def judged(bob: Bob, alice: Member) -> Counter[str]:
    """One folder's whole life: nothing was ever shown twice, on either screen, and nobody was a stranger again."""
    heard = [line for line in bob.lines() if line.startswith("alice: ")]
    assert [line for line, times in Counter(heard).items() if times > 1] == []
    assert bob.shown("First contact with alice") <= 1
    assert bob.shown("HAS CHANGED") == bob.shown("Traceback") == bob.shown("is damaged") == 0
    of_bob = [show.text for show in alice.seen if show.sender == bob.name]
    assert len(of_bob) == len(set(of_bob))
    alarms = [show.text for show in alice.seen if show.kind == "alarm"]
    assert alarms == [], "a counter went back, or a key changed"
    return Counter(heard=len(heard), said=len(of_bob), starts=bob.session)


def test_client_that_is_killed_anywhere_keeps_its_key_and_its_pins_and_no_counter_goes_back(
    tmp_path: Path, whole: bool, dice: random.Random
) -> None:
    number = 200 if whole else 12
    came = run(kills(tmp_path, number, dice), seconds=600)
    print(f"{number} kills: {dict(came)}")
    assert came["heard"] > 0
    assert came["said"] > 0


def test_what_a_killed_client_left_half_written_is_gone_after_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "bob"
    folder.mkdir(mode=0o700)
    half = folder / ".identity-00c0ffee.part"
    half.write_text("half a secret")
    program = Forked(STAGE.package, "client", "--name", "bob", "--folder", str(folder), "--password-fd", "0")
    program.types("sesame")
    assert program.line().startswith(f"{folder.parent / 'ca' / 'ca.pem'} is no authority's certificate")
    program.close()
    assert not half.exists()
    assert os.listdir(folder) == ["lock"]
