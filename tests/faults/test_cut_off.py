"""A host is cut off from the switch and comes back; a whole room is cut off at once. Clients return by themselves."""

import asyncio
import random
import statistics
from pathlib import Path

import pytest

import stages
from common import client, hosts
from common.client import Client
from common.errors import LabError
from common.hosts import ThisMachine
from common.lan import Lan, ip_command
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Person
from lab.hosting import running_server, start_client
from stages.stage2_hashed_auth.accounts import Accounts
from stages.stage2_hashed_auth.client import ClientSession
from stages.stage2_hashed_auth.server import Server
from stages.stage2_hashed_auth.what_if.password_hash import SaltedSha256
from tests.faults.conftest import WHOLE
from tests.room import Member, leave, run

AGAIN = "The connection ended; connecting again."
CROWD = 300 if WHOLE else 100


async def sees(member: Member, *texts: str) -> None:
    """Wait until each of these was shown, in this order; whatever else is in between."""
    for text in texts:
        while (await member.next()).text != text:
            pass


async def cut_and_joined_again(lan: Lan, stage: stages.Stage, folder: Path) -> tuple[Member, Member]:
    """Alice and Bob talk; his cable is pulled, and put back when his client has noticed."""
    levers, people = Levers(known=stage.levers), {name: Member() for name in ("alice", "bob")}
    for name in (*people, "server"):
        (folder / name).mkdir()
    made = stage.server(levers, folder / "server")
    async with running_server(stage, levers, lan.hosts["server"], made, folder / "server") as running:
        address = (lan.hosts["server"].address, running.address[1])
        for name, member in people.items():
            person = Person(name, 0, "sesame", register=stage.wants_password, folder=folder / name)
            member.client = await start_client(stage, levers, lan.hosts[name], address, person, member.show)
            while not (await member.next()).text.startswith("here: "):
                pass
        alice, bob = people.values()
        alice.says("before")
        await sees(bob, "before")
        lan.run(ip_command(), "link", "set", "v-bob", "down")
        alice.says("while bob is away")
        await sees(bob, AGAIN)
        bob.says("is anybody there?")
        while not (await bob.next()).text.endswith("that was not sent."):  # for want of a connection, or of a room key
            pass
        await sees(alice, "bob left")
        lan.run(ip_command(), "link", "set", "v-bob", "up")
        here = [f"{name} ({lan.hosts[name].address})" for name in people]
        await sees(bob, f"here: {', '.join(here)}")
        await sees(alice, f"bob joined, from {lan.hosts['bob'].address}")
        alice.says("after")
        bob.says("I am back")
        await sees(bob, "after")
        await sees(alice, "I am back")
        for member in people.values():
            await leave(member)
        return alice, bob


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5] if WHOLE else [5])
def test_member_whose_cable_is_pulled_is_told_and_comes_back_and_sees_nothing_twice(
    lan: Lan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name, seconds in (("QUIET_SECONDS", 1), ("PROBE_SECONDS", 1), ("PROBES", 1)):
        monkeypatch.setattr(hosts, name, seconds)
    alice, bob = run(cut_and_joined_again(lan, stages.find(number), tmp_path), seconds=60)
    said = [show.text for show in (*alice.seen, *bob.seen) if show.kind == "room"]
    assert sorted(said) == ["I am back", "after", "before"]
    assert [show.text for show in (*alice.seen, *bob.seen) if show.kind == "alarm"] == []


class Crowd:
    """A roomful of people, a server that can be started again, and when who tried to come back."""

    def __init__(self, folder: Path) -> None:
        accounts = Accounts(folder / "accounts.sqlite", SaltedSha256())
        self.server = Server(accounts)
        self.people = {f"member-{number}": Member() for number in range(CROWD)}
        for name in self.people:
            accounts.register(name, "sesame")
        self.tries: list[float] = []

    async def starts(self, port: int = 0) -> tuple[ServerRuntime, tuple[str, int]]:
        """The server starts; only so many may wait for their log-in at once."""
        listener = await ThisMachine().listen(port)
        started = ServerRuntime(Server(self.server.accounts), Limits(waiting_for_work=CROWD // 4))
        address: tuple[str, int] = listener.getsockname()
        await started.start(listener)
        return started, address

    async def comes(self, name: str, address: tuple[str, int]) -> None:
        """One member comes in, and notes when it tries to come back."""
        member, host = self.people[name], ThisMachine()
        member.client = await Client.start(
            *(host, address, lambda port: ClientSession(name, port, "sesame", register=False), member.show)
        )
        dial = member.client.dial

        async def noted() -> object:
            self.tries.append(asyncio.get_running_loop().time())
            return await dial()

        member.client.dial = noted  # type: ignore[assignment]
        while not (await member.next()).text.startswith("here: "):
            pass


async def everybody_comes_back(crowd: Crowd) -> None:
    """The server stops, and starts again at the same place."""
    first, address = await crowd.starts()
    for name in crowd.people:
        await crowd.comes(name, address)
    await first.stop()
    second, _ = await crowd.starts(address[1])
    try:
        for member in crowd.people.values():
            await sees(member, AGAIN)
            while not (await member.next()).text.startswith("here: "):
                pass
        assert len(second.connections) == CROWD
    finally:
        await asyncio.gather(*(leave(member) for member in crowd.people.values()))
        await second.stop()


def test_crowd_comes_back_to_a_new_server_at_moments_of_its_own_and_nobody_is_left_outside(
    tmp_path: Path, dice: random.Random
) -> None:
    random.seed(dice.random())
    crowd = Crowd(tmp_path)
    run(everybody_comes_back(crowd), seconds=60)
    first = sorted(crowd.tries)[:CROWD]
    assert statistics.pstdev(first) > 0.015, "they came in one instant"
    refused = sum(
        show.text.startswith("The server refused for now: ") for m in crowd.people.values() for show in m.seen
    )
    print(f"{CROWD} came back in {len(crowd.tries)} tries; {refused} were asked to wait")


def test_what_is_typed_while_nobody_can_hear_it_is_told() -> None:
    """At stage 5 there is nobody to seal it for."""
    session = stages.find(1).client(Levers(known=stages.find(1).levers), Person("alice", 9))
    shown = Member()
    client = Client(session, shown.show, lambda: None, lambda: None)  # type: ignore[arg-type, return-value]
    session.say = lambda text, to=None: []  # type: ignore[method-assign]
    for closing, words in (
        (True, "There is no connection to the server right now; that was not sent."),
        (False, "Nobody else is here yet; that was not sent."),
    ):
        client.transport = type("Transport", (), {"is_closing": lambda self, now=closing: now})()
        client.typed("hello?")
        assert shown.seen[-1].text == words


def test_long_wait_is_told_and_an_end_in_the_middle_of_a_handshake_is_no_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "AGAIN_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(client, "TOLD_SECONDS", 0.0)
    assert not isinstance(client.not_the_server(ConnectionResetError(104, "reset")), client.NotTheServer)
    assert isinstance(client.not_the_server(OSError("wrong version")), client.NotTheServer)

    async def conversation() -> list[str]:
        member = Member()
        stage = stages.find(1)
        session = stage.client(Levers(known=stage.levers), Person("alice", 9))

        async def nobody() -> object:
            raise LabError("Cannot reach it.")

        member.client = Client(session, member.show, lambda: None, nobody)  # type: ignore[arg-type, return-value]
        member.client._whispers = type("Closed", (), dict.fromkeys(("close", "nobody_is_there"), lambda self: None))()
        member.client._since = 0.0
        member.client.connection_lost(None)
        await member.client.ended.wait()
        return [show.text for show in member.seen]

    told = run(conversation())
    assert told[0] == AGAIN
    assert [words.startswith("No connection yet; the next try is in ") for words in told] == [False, True, True, False]
