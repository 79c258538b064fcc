"""Stage 2 on real sockets: slow logins beside a lively room, and bad input for the new messages."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from common.limits import Limits
from common.slow_work import SLOW_AT_ONCE
from common.wire import decoder
from stages.stage2_hashed_auth.accounts import Accounts
from stages.stage2_hashed_auth.client import ClientSession
from stages.stage2_hashed_auth.server import Server, ServerSession
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext
from tests.room import House, Member, logging_in, registering, room, run, saying

SLOW = 5.0
"""No gate stays shut for longer."""


class Gated(Plaintext):
    """A way to store passwords that takes as long as a test wants it to; making an account goes quickly."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def verify(self, stored: bytes, password: bytes) -> bool:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.wait(SLOW)
        with self._lock:
            self.at_once -= 1
        return super().verify(stored, password)


class Failing(Plaintext):
    """A way to store passwords that breaks."""

    def verify(self, stored: bytes, password: bytes) -> bool:
        raise MemoryError("there is no memory left for a hash")


def registers(name: str, udp_port: int) -> ClientSession:
    """A client that makes an account."""
    return ClientSession(name, udp_port, "sesame", register=True)


def logs_in(name: str, udp_port: int) -> ClientSession:
    """A client that comes back."""
    return ClientSession(name, udp_port, "sesame", register=False)


@pytest.fixture
def hashing() -> Gated:
    return Gated()


@pytest.fixture
def server(tmp_path: Path, hashing: Gated) -> Server:
    """A server whose logins wait for the gate."""
    return Server(Accounts(tmp_path / "accounts.sqlite", hashing))


@contextlib.asynccontextmanager
async def opened(server: Server, limits: Limits | None = None) -> AsyncIterator[tuple[House, Member, Member]]:
    """A room in which Alice and Bob are, and mind their own business; Carol has an account, and is away."""
    server.accounts.register("carol", "sesame")
    async with room(limits, server=server, session=registers) as house:
        yield house, *await house.bystanders()


async def until(true: Callable[[], bool]) -> None:
    """Wait until this is true of the server, of which no message tells."""
    while not true():  # noqa: ASYNC110 - nothing sets an event for a test
        await asyncio.sleep(0)


async def busy(house: House, number: int) -> None:
    """Wait until so many connections wait for slow work."""
    await until(lambda: house.runtime.slow_work.number == number)


def test_hundred_slow_logins_never_hold_up_a_message_of_those_inside(server: Server, hashing: Gated) -> None:
    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            guests = [await house.peer() for _ in range(100)]
            for number, guest in enumerate(guests):
                await guest.send(logging_in(f"guest-{number}"))
            await busy(house, 100)
            for number in range(20):
                alice.says(f"message {number}")
                await bob.sees(f"message {number}")
                bob.says(f"/whisper alice answer {number}")
                await alice.sees(f"answer {number}")
            assert house.runtime.slow_work.number == 100
            await until(lambda: hashing.at_once == SLOW_AT_ONCE)  # the second thread may come late on a busy machine
            hashing.gate.set()
            answers = [await guest.rest() for guest in guests]
            assert [[message["code"] for message in answer] for answer in answers] == [["wrong-password"]] * 100
            assert hashing.most_at_once == SLOW_AT_ONCE
            assert alice.unread() == bob.unread() == []

    run(conversation())


def test_more_logins_than_may_wait_are_turned_away_at_once_and_later_ones_come_in(
    server: Server, hashing: Gated
) -> None:
    async def conversation() -> None:
        async with opened(server, Limits(waiting_for_work=3)) as (house, alice, _bob):
            waiting = [await house.peer() for _ in range(3)]
            for guest in waiting:
                await guest.send(logging_in("nobody"))
            await busy(house, 3)
            late = await house.peer()
            await late.send(logging_in("carol"))
            [refused] = await late.rest()
            assert refused["code"] == "busy"
            hashing.gate.set()
            for guest in waiting:
                assert [message["code"] for message in await guest.rest()] == ["wrong-password"]
            carol = await house.peer()
            await carol.send(logging_in("carol"))
            await carol.until("roster")
            await alice.sees("carol joined, from 127.0.0.1")

    run(conversation())


def test_lines_behind_a_login_wait_for_it_and_keep_their_order(server: Server, hashing: Gated) -> None:
    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            carol = await house.peer()
            await carol.send(logging_in("carol"), *(saying("carol", f"{number}") for number in range(50)))
            await carol.send(saying("carol", "50"))
            await busy(house, 1)
            alice.says("quiet so far")
            await bob.sees("quiet so far")
            hashing.gate.set()
            await bob.sees("carol joined, from 127.0.0.1", *(f"{number}" for number in range(51)))

    run(conversation())


def test_lines_behind_a_wrong_password_are_never_heard(server: Server, hashing: Gated) -> None:
    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            mallory = await house.peer()
            await mallory.send(logging_in("carol", "guess"), saying("carol", "hello"), logging_in("carol"))
            hashing.gate.set()
            assert [message["code"] for message in await mallory.rest()] == ["wrong-password"]
            alice.says("nobody came")
            await bob.sees("nobody came")

    run(conversation())


@pytest.mark.parametrize(
    ("behind", "code"), [(b"hello\n", "not-json"), (logging_in("carol"), "already-joined"), (b" " * 70_000, "too-long")]
)
def test_bad_line_behind_a_login_is_refused_after_it(
    server: Server, hashing: Gated, behind: bytes | dict[str, Any], code: str
) -> None:
    async def conversation() -> None:
        async with opened(server) as (house, _alice, bob):
            carol = await house.peer()
            await carol.send(logging_in("carol"), behind)
            await busy(house, 1)
            hashing.gate.set()
            assert [message.get("code", message["type"]) for message in await carol.rest()] == ["roster", code]
            await bob.sees("carol joined, from 127.0.0.1", "carol left")

    run(conversation())


@pytest.mark.parametrize("password", ["sesame", "wrong"])
def test_client_that_hangs_up_while_its_password_is_checked_leaves_nothing_behind(
    server: Server, hashing: Gated, password: str
) -> None:
    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            carol = await house.peer()
            await carol.send(logging_in("carol", password))
            await busy(house, 1)
            carol.close()
            hashing.gate.set()
            await until(lambda: len(house.runtime.open) == 2)
            alice.says("who was that?")
            while (show := await bob.next()).text != "who was that?":
                assert show.text in {"carol joined, from 127.0.0.1", "carol left"}
            assert house.runtime.slow_work.number == 0
            assert server.room.session("carol") is None

    run(conversation())


def test_login_that_waits_for_the_pool_is_not_taken_for_silence(server: Server, hashing: Gated) -> None:
    async def conversation() -> None:
        async with room(Limits(join_seconds=0.01), server=server, session=registers) as house:
            server.accounts.register("carol", "sesame")
            carol = await house.peer()
            await carol.send(logging_in("carol"))
            await busy(house, 1)
            [connection] = house.runtime.open
            timer = connection.timer
            await until(lambda: connection.timer is not timer)  # the time to join is over, and begins anew
            hashing.gate.set()
            assert (await carol.next() or {})["type"] == "roster"

    run(conversation())


def test_work_that_fails_is_refused_and_shown_to_the_operator(tmp_path: Path) -> None:
    async def conversation() -> None:
        seen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context))
        async with opened(Server(Accounts(tmp_path / "accounts.sqlite", Failing()))) as (house, alice, bob):
            carol = await house.peer()
            await carol.send(logging_in("carol"))
            assert [message["code"] for message in await carol.rest()] == ["failed"]
            assert isinstance(seen[0]["exception"], MemoryError)
            assert "sesame" not in repr(seen)
            alice.says("what was that?")
            await bob.sees("what was that?")

    run(conversation())


def test_newer_login_ends_the_older_session_which_is_told(server: Server, hashing: Gated) -> None:
    hashing.gate.set()

    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            again = await house.visitor("alice", session=logs_in)
            await alice.sees("The server refused: You logged in from somewhere else, so this session ended.")
            await alice.client.ended.wait()
            await bob.sees("alice left", "alice joined, from 127.0.0.1")
            await again.sees("here: bob (127.0.0.1), alice (127.0.0.1)")
            bob.says("/whisper alice is it you?")
            await again.sees("is it you?")

    run(conversation())


REGISTER, LOGIN = registering("dora"), logging_in("carol")


@pytest.mark.parametrize("good", [REGISTER, LOGIN], ids=["register", "login"])
@pytest.mark.parametrize(
    "bad",
    [
        {"password": ""},
        {"password": "sesame" * 50},
        {"password": None},
        {"password": 1234},
        {"password": ["sesame"]},
        {"name": "Carol"},
        {"name": ""},
        {"name": "carol\n"},
        {"name": "sesame" * 4},
        {"name": None},
        {"udp_port": 0},
        {"udp_port": 65536},
        {"udp_port": "9"},
        {"from": "carol"},
        {"register": True},
    ],
    ids=repr,
)
def test_field_that_is_not_right_is_refused_and_nobody_is_asked_for_anything(
    server: Server, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    check_refused(server, json.dumps({**good, **bad}).encode() + b"\n", "bad-field")


@pytest.mark.parametrize("good", [REGISTER, LOGIN], ids=["register", "login"])
@pytest.mark.parametrize("missing", ["name", "password", "udp_port"])
def test_field_that_is_missing_is_refused(server: Server, good: dict[str, Any], missing: str) -> None:
    check_refused(server, json.dumps({k: v for k, v in good.items() if k != missing}).encode() + b"\n", "bad-field")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"type":"join","name":"carol","udp_port":9}\n', "unknown-type"),
        (b'{"type":"roster","members":[]}\n', "unknown-type"),
        (b'{"type":"login","name":"carol","password":"\\ud800","udp_port":9}\n', "not-json"),
        (b'{"type":"login","name":"carol","password":"\xff","udp_port":9}\n', "not-utf-8"),
        (b'{"type":"login","name":"carol","password":"sesame","udp_port":9', "incomplete"),
        (b'{"type":"say","from":"carol","text":"hello"}\n', "not-joined"),
    ],
)
def test_what_is_no_way_in_is_refused(server: Server, data: bytes, code: str) -> None:
    check_refused(server, data, code)


def check_refused(server: Server, data: bytes, code: str) -> None:
    """Whoever sends this is refused with this code, no password comes back, and nobody else notices."""

    async def conversation() -> None:
        async with opened(server) as (house, alice, bob):
            peer = await house.peer()
            await peer.send(data)
            if not data.endswith(b"\n"):
                peer.sock.shutdown(1)
            [refused] = await peer.rest()
            assert (refused["type"], refused["code"]) == ("refused", code)
            assert "sesamesesame" not in refused["reason"] or "name" in refused["reason"]
            assert "1234" not in refused["reason"]
            assert house.runtime.slow_work.number == 0
            alice.says("all quiet")
            await bob.sees("all quiet")

    run(conversation())


def test_longest_and_oddest_passwords_are_taken() -> None:
    for password in ("x", "é" * 256, "\N{BELL}\r\n\t ", "𝔰𝔢𝔰𝔞𝔪𝔢"):
        line = json.dumps(registering("carol", password)).encode()
        assert decoder(ServerSession.accepts).decode(line).password == password
