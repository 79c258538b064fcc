"""The server is killed (SIGKILL) wherever it is, while people register: whoever was told that they are in, is."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

import stages
from common.client import TLS_NAME
from common.levers import Levers
from common.session import Person
from common.wire import encode
from stages import Stage
from tests.faults.forked import Forked, port_of
from tests.room import run

AT_ONCE = 6
"""So many people register at the same time, one after the other."""


class Desk:
    """Where people register and log in, as bytes on a connection."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.port = 0

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the server, in TLS where the stage has it."""
        person = Person("nobody", 0, folder=self.folder / "nobody")
        tls = self.stage.client_tls(Levers(known=self.stage.levers), person)
        name = TLS_NAME if tls else None
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name)
        try:
            yield incoming, outgoing
        finally:
            outgoing.transport.abort()

    async def is_let_in(self, kind: str, name: str) -> bool:
        """Register or log in. False where the connection ends before the roster has come."""
        message = self.stage.messages[kind]
        wanted = {"name": name, "password": f"the password of {name}", "udp_port": 9, "public_key": bytes(32)}
        fields = {one.name for one in msgspec.structs.fields(message)}
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with self.connection() as (incoming, outgoing):
                outgoing.write(encode(message(**{key: wanted[key] for key in fields & set(wanted)})))
                answer = msgspec.json.decode(await incoming.readuntil())
                assert answer["type"] == "roster", answer
                return True
        return False


async def registered_until_killed(desk: Desk, server: Forked, moment: float, round_: int) -> list[str]:
    """People register, until at this moment the server is killed: who was told that they are in."""
    told: list[str] = []
    somebody = asyncio.Event()

    async def one_after_the_other(queue: int) -> None:
        number = 0
        while await desk.is_let_in("register", name := f"r{round_}-{queue}-{number}"):
            told.append(name)
            somebody.set()
            number += 1

    crowd = [asyncio.create_task(one_after_the_other(queue)) for queue in range(AT_ONCE)]
    if round_ == 0:
        await somebody.wait()
    await asyncio.sleep(moment)  # the moment is the fault: anything may be half done
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*crowd)
    return told


async def kills(stage: Stage, folder: Path, levers: str, number: int, dice: random.Random) -> int:
    """So many kills, each followed by the log-in of everybody who was told in that round; how many were told."""
    desk, everybody = Desk(stage, folder), list[str]()
    database = folder / "server" / "accounts.sqlite"
    for round_ in range(number):
        server = Forked(stage.package, "server", "--port", "0", "--folder", str(folder / "server"), "--levers", levers)
        with contextlib.closing(server):
            desk.port = await asyncio.to_thread(port_of, server)
            told = await registered_until_killed(desk, server, dice.uniform(0, 0.25), round_)
        with contextlib.closing(sqlite3.connect(database)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)], f"after kill {round_}"
            there = {name for (name,) in opened.execute("SELECT name FROM accounts")}
        everybody += told
        assert set(everybody) <= there, f"after kill {round_}"
        again = Forked(stage.package, "server", "--port", "0", "--folder", str(folder / "server"), "--levers", levers)
        with contextlib.closing(again):
            desk.port = await asyncio.to_thread(port_of, again)
            some = told if len(told) <= 20 else dice.sample(told, 20)
            assert all(await asyncio.gather(*(desk.is_let_in("login", name) for name in some))), f"after kill {round_}"
    return len(everybody)


@pytest.mark.parametrize("levers", ["password_hash=argon2id", "password_hash=salted-sha256"])
@pytest.mark.parametrize("number", [2, 5])
def test_everyone_who_was_told_registered_can_log_in_after_every_kill(
    tmp_path: Path, number: int, levers: str, whole: bool, dice: random.Random
) -> None:
    rounds = 50 if whole else 2  # of 200 in all; with the quick hash most of them hit a commit
    told = run(kills(stages.find(number), tmp_path, levers, rounds, dice), seconds=600)
    print(f"stage {number}, {levers}: {rounds} kills, {told} people were told that they are in")
    assert told > 0
