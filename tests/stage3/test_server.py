"""Stage 3's server session, in memory: it relays the exchange and what it cannot read, under the true name."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.messages import Left, Message, Roster, Undelivered
from stages.stage3_symmetric.accounts import Accounts, Login, Register
from stages.stage3_symmetric.room_key import Ciphers, KeyGrant, KeyRequest, RoomKey, Say
from stages.stage3_symmetric.server import Server, ServerSession
from stages.stage3_symmetric.what_if.password_hash import Plaintext
from stages.stage3_symmetric.what_if.sender_from_message import TrustingServer
from tests.desk import Desk


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "accounts.sqlite", Plaintext())


@pytest.fixture
def desk(accounts: Accounts) -> Desk:
    return Desk(Server(accounts))


def member(desk: Desk, name: str) -> ServerSession:
    """Somebody who has registered and is in, with all post read, by everybody."""
    session: ServerSession = desk.connect()
    desk.ask(session, Register(name=name, password="sesame", udp_port=4000))
    assert session.inside
    desk.read_all()
    return session


def sealed(sender: str, to: str | None = None) -> Say:
    """Something that Alice said."""
    message = RoomKey.fresh(Ciphers()).seal("room" if to is None else "direct", sender, to, (1, 0), "hi")
    assert isinstance(message, Say)
    return message


def request(sender: str, to: str) -> KeyRequest:
    return KeyRequest(sender=sender, to=to, public_key=bytes(32))


def answer(sender: str, to: str) -> KeyGrant:
    return KeyGrant(sender=sender, to=to, public_key=bytes(32), nonce=bytes(12), ciphertext=b"wrapped")


def test_sealed_message_is_relayed_as_it_is_to_the_room_or_to_one(desk: Desk) -> None:
    alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    room, direct = sealed("alice"), sealed("alice", "bob")
    desk.hand(alice, room)
    desk.hand(alice, direct)
    assert desk.read(bob) == [room, direct]
    assert desk.read(carol) == [room]
    assert desk.read(alice) == []


@pytest.mark.parametrize("make", [request, answer])
def test_exchange_is_relayed_to_the_one_it_is_for(desk: Desk, make: Any) -> None:
    alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    desk.hand(bob, make("bob", "alice"))
    assert desk.read(alice) == [make("bob", "alice")]
    assert desk.read(bob) == desk.read(carol) == []


@pytest.mark.parametrize("message", [sealed("alice"), sealed("alice", "bob"), request("alice", "bob")], ids=type)
def test_server_writes_the_senders_name_on_all_that_it_relays(desk: Desk, message: Any) -> None:
    _alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    desk.hand(carol, message)
    assert desk.read(bob) == [replace(message, sender="carol")]


def test_server_that_trusts_the_message_relays_any_name(accounts: Accounts) -> None:
    desk = Desk(TrustingServer(accounts))
    bob, carol = member(desk, "bob"), member(desk, "carol")
    for message in (sealed("alice"), request("alice", "bob"), answer("alice", "bob")):
        desk.hand(carol, message)
        assert desk.read(bob) == [message]


@pytest.mark.parametrize("message", [sealed("alice", "dora"), request("alice", "dora"), answer("alice", "dora")])
def test_what_is_for_nobody_is_undelivered_and_the_connection_stays(desk: Desk, message: Message) -> None:
    alice, bob = member(desk, "alice"), member(desk, "bob")
    desk.hand(alice, message)
    assert desk.read(alice) == [Undelivered(to="dora")]
    assert desk.read(bob) == []
    assert alice.inside


@pytest.mark.parametrize("message", [sealed("alice"), request("alice", "bob"), answer("alice", "bob")], ids=type)
def test_server_refuses_whoever_is_not_in_yet(desk: Desk, message: Message) -> None:
    bob, stranger = member(desk, "bob"), desk.connect()
    desk.hand(stranger, message)
    assert desk.refusal(stranger) == "not-joined"
    assert desk.read(bob) == []


def test_roster_names_the_longest_present_first_and_whoever_comes_back_last(desk: Desk) -> None:
    alice, _bob = member(desk, "alice"), member(desk, "bob")
    desk.hang_up(alice)
    again = desk.connect()
    desk.ask(again, Login(name="alice", password="sesame", udp_port=4000))
    [roster] = desk.read(again)
    assert isinstance(roster, Roster)
    assert [presence.name for presence in roster.members] == ["bob", "alice"]


def test_removed_member_hears_no_more_and_cannot_ask_for_the_key(desk: Desk) -> None:
    alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    desk.deliver(None, desk.server.remove("carol"))
    assert desk.refusal(carol) == "removed"
    assert desk.read(bob) == [Left(name="carol")]
    desk.hand(alice, sealed("alice"))
    assert desk.read(carol) == []
