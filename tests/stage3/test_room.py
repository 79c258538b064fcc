"""Stage 3 on real sockets: the exchange with its time-outs, and what is on the wire."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.stage3_symmetric import client as client_module
from stages.stage3_symmetric.accounts import Accounts
from stages.stage3_symmetric.client import ClientSession
from stages.stage3_symmetric.counters import Counters
from stages.stage3_symmetric.room_key import Ciphers
from stages.stage3_symmetric.server import Server
from stages.stage3_symmetric.what_if.password_hash import Plaintext
from tests.room import House, registering, room, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    """A room whose members make an account as they come."""

    def session(name: str, udp_port: int) -> ClientSession:
        (folder / name).mkdir()
        counters = Counters(folder / name)
        return ClientSession(name, udp_port, "sesame", register=True, ciphers=Ciphers(), counters=counters)

    async with room(server=Server(Accounts(folder / "accounts.sqlite", Plaintext())), session=session) as house:
        yield house


def test_people_talk_and_whisper_under_one_key(folder: Path) -> None:
    async def conversation() -> None:
        async with opened(folder) as house:
            alice, bob = await house.bystanders()
            alice.says("hello")
            await bob.sees("hello")
            bob.says("/to alice psst")
            await alice.sees("psst")
            alice.says("/whisper bob closer")
            await bob.sees("closer")

    run(conversation())


def test_holder_who_does_not_answer_is_passed_over_after_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.02)

    async def conversation() -> None:
        async with opened(folder) as house:
            alice, bob = await house.bystanders()
            monkeypatch.setattr(alice.client.session, "grant", lambda request: [])
            carol = await house.member("carol")
            await bob.sees("carol joined, from 127.0.0.1")
            bob.says("welcome")
            await carol.sees("welcome")

    run(conversation())


def test_listener_at_the_server_sees_all_that_is_bound_and_no_text(folder: Path) -> None:
    async def conversation() -> None:
        async with opened(folder) as house:
            alice = await house.member("alice")
            ear = await house.peer()
            await ear.send(registering("eve"))
            await ear.until("roster")
            alice.says("the door code is 1234")
            heard = await ear.until("say")
            assert (heard["from"], heard["kind"], heard["room"], heard["to"], heard["counter"]) == (
                "alice",
                "room",
                "lobby",
                None,
                [1, 0],
            )
            assert "1234" not in str(heard)

    run(conversation())


def test_member_who_asked_for_no_key_is_asked_in_vain_and_the_room_goes_on(folder: Path) -> None:
    """A member with `nc` holds no key: those who came before them still talk."""

    async def conversation() -> None:
        async with opened(folder) as house:
            alice, bob = await house.bystanders()
            mallory = await house.peer()
            await mallory.send(
                registering("mallory"), {"type": "key-request", "from": "x", "to": "bob", "public_key": ""}
            )
            assert (await mallory.rest())[-1]["code"] == "bad-field"
            alice.says("all quiet")
            await bob.sees("mallory joined, from 127.0.0.1", "mallory left", "all quiet")

    run(conversation())
