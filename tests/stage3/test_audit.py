"""The findings of this stage's audit, each held by the exact behaviour that it is about (audits/stage3-symmetric.md).

These tests are green while the flaws are there. One that goes red says that a finding is no longer true as it stands.
"""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.session import Send, Show
from common.wire import encode
from stages.stage3_symmetric.accounts import Accounts, Login, Register
from stages.stage3_symmetric.client import ClientSession
from stages.stage3_symmetric.counters import Counters
from stages.stage3_symmetric.room_key import (
    Ciphers,
    KeyGrant,
    KeyRequest,
    RoomKey,
    Say,
    Whisper,
    unwrap,
    wrap,
)
from stages.stage3_symmetric.server import Server
from tests.desk import Desk, Listening
from tests.stage3.table import Seat, Table

TAG_BYTES = 16


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def room(table: Table) -> dict[str, Seat]:
    """Alice, Bob and Carol, who have the room key."""
    seats = {name: table.sit(name) for name in ("alice", "bob", "carol")}
    for seat in seats.values():
        seat.texts()
    return seats


def key_of(seat: Seat) -> RoomKey:
    """The room key that somebody has."""
    assert seat.client.room_key
    return seat.client.room_key


def asking(name: str, holder: str) -> tuple[X25519PrivateKey, KeyRequest]:
    """A stranger's pair, and its request for the room key under this name."""
    own = X25519PrivateKey.generate()
    return own, KeyRequest(sender=name, to=holder, public_key=own.public_key().public_bytes_raw())


def granted(effects: list[Any]) -> KeyGrant:
    """The one answer that a member sends."""
    (send,) = effects
    assert isinstance(send, Send)
    assert isinstance(send.message, KeyGrant)
    return send.message


@pytest.mark.parametrize("register", [True, False])
def test_password_is_sent_as_it_was_typed_before_there_is_any_key(tmp_path: Path, register: bool) -> None:  # S3-01
    counters = Counters(tmp_path)
    alice = ClientSession("alice", 4001, "open sesame", register=register, ciphers=Ciphers(), counters=counters)
    (send,) = alice.connected()
    assert isinstance(send, Send)
    assert b'"password":"open sesame"' in encode(send.message)
    assert alice.room_key is None


def test_whoever_carries_the_exchange_has_the_room_key_and_nobody_is_told(table: Table) -> None:  # S3-02
    alice = table.sit("alice")
    alice.asleep = True
    bob = table.sit("bob")
    alice.texts()
    request = next(message for way, message in table.log if way == "bob → server" and isinstance(message, KeyRequest))

    own, in_bobs_name = asking("bob", "alice")  # instead of Bob's request Mallory sends Alice one of her own
    given = unwrap(own, granted(alice.client.received(in_bobs_name)))
    shown = bob.client.received(wrap(given, "bob", "alice", request))  # and Bob an answer of her own

    assert given.key == key_of(alice).key == key_of(bob).key
    assert shown == bob.client.who()
    assert alice.texts() == []


def test_room_key_is_given_to_a_name_that_nobody_announced(room: dict[str, Seat]) -> None:  # S3-03
    alice, bob = room["alice"].client, room["bob"].client
    own, request = asking("dora", "alice")
    assert "dora" not in alice.roster
    stolen = RoomKey(unwrap(own, granted(alice.received(request))).key, Ciphers())
    forged = stolen.seal("room", "alice", None, (1, 0), "the code has changed")
    assert isinstance(forged, Say)
    assert bob.received(forged) == [Show("room", "the code has changed", sender="alice")]


def test_member_who_asks_again_is_given_the_room_key_again(room: dict[str, Seat]) -> None:  # S3-03
    own, request = asking("bob", "alice")
    assert unwrap(own, granted(room["alice"].client.received(request))).key == key_of(room["bob"]).key


def test_every_member_opens_and_makes_all_whispers(table: Table, room: dict[str, Seat]) -> None:  # S3-04
    table.types("alice", "/whisper bob about Carol")
    heard = next(message for _, message in table.log if isinstance(message, Whisper))
    carol = key_of(room["carol"])
    assert carol.open(heard) == "about Carol"
    made = carol.seal("whisper", "alice", "bob", (1, 1), "I owe Carol 500 euros.")
    assert isinstance(made, Whisper)
    told = room["bob"].client.datagram(made, ("10.13.37.23", 4003))
    assert told == [Show("whisper", "I owe Carol 500 euros.", sender="alice")]


def test_message_that_comes_again_is_shown_again_whatever_its_counter(table: Table, room: dict[str, Seat]) -> None:
    table.types("alice", "pay the bill")  # S3-05
    table.types("alice", "/whisper bob at nine")
    recorded = next(message for _, message in table.log if isinstance(message, Say))
    whisper = next(message for _, message in table.log if isinstance(message, Whisper))
    bob = room["bob"].client
    assert bob.received(recorded) == [Show("room", "pay the bill", sender="alice")]
    assert bob.datagram(whisper, ("10.13.37.66", 1)) == [Show("whisper", "at nine", sender="alice")]


def test_counters_that_jump_are_not_remarked_on(table: Table, room: dict[str, Seat]) -> None:  # S3-06
    room["bob"].asleep = True  # what reaches him is handed to him below
    for text in ("one", "two", "three"):
        table.types("alice", text)
    first, _kept_back, third = (m for way, m in table.log if way == "server → carol" and isinstance(m, Say))
    assert (first.counter, third.counter) == ((1, 0), (1, 2))
    shown = [*room["bob"].client.received(first), *room["bob"].client.received(third)]
    assert shown == [Show("room", "one", sender="alice"), Show("room", "three", sender="alice")]


def test_key_of_today_opens_what_was_recorded_before_others_came_and_went(table: Table) -> None:  # S3-07
    table.sit("alice")
    bob = table.sit("bob")
    table.types("alice", "in January")
    recorded = next(message for _, message in table.log if isinstance(message, Say))
    for name in ("carol", "alice"):
        table.sit(name)
        table.goes(name)
    assert key_of(bob).open(recorded) == "in January"


def test_ciphertext_is_as_long_as_its_text_and_a_tag_and_names_both_ends(table: Table, room: dict[str, Seat]) -> None:
    for text in ("yes", "no, never"):  # S3-08
        table.types("alice", f"/whisper bob {text}")
        whisper = next(m for _, m in reversed(table.log) if isinstance(m, Whisper))
        assert len(whisper.ciphertext) == len(text) + TAG_BYTES
        assert (whisper.sender, whisper.to) == ("alice", "bob")


def test_name_that_is_taken_gets_another_answer_than_one_that_is_free(table: Table) -> None:  # S3-09
    table.sit("alice")
    curious, answers = [table.desk.connect() for _ in range(2)], []
    for session, name in zip(curious, ("alice", "dora"), strict=True):
        table.desk.ask(session, Register(name=name, password="x", udp_port=1))
        answers.append(type(table.desk.read(session)[0]).__name__)
    assert answers == ["Refused", "Roster"]


def test_server_has_the_password_itself_at_every_registration_and_every_login(tmp_path: Path) -> None:  # S3-10
    hashing = Listening()
    desk = Desk(Server(Accounts(tmp_path / "accounts.sqlite", hashing)))
    alice = desk.connect()
    desk.ask(alice, Register(name="alice", password="sesame", udp_port=4001))
    desk.hang_up(alice)
    desk.ask(desk.connect(), Login(name="alice", password="sesame", udp_port=4001))
    assert hashing.heard == [b"sesame"] * 2


def test_member_who_was_removed_opens_what_is_said_afterwards(table: Table, room: dict[str, Seat]) -> None:  # S3-11
    kept = key_of(room["carol"])
    table.desk.deliver(None, table.desk.server.remove("carol"))
    table.seats.pop("carol")
    table.settle()
    table.types("alice", "now that Carol has gone")
    table.types("alice", "/whisper bob and only for you")
    said = [message for way, message in table.log if way.startswith("alice → ") and isinstance(message, Say | Whisper)]
    assert [kept.open(message) for message in said] == ["now that Carol has gone", "and only for you"]
