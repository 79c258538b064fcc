"""The findings of this stage's audit, each held by the exact behaviour that it is about (audits/stage2-hashed-auth.md).

These tests are green while the flaws are there. One that goes red says that a finding is no longer true as it stands.
"""

from pathlib import Path

import pytest
from msgspec.structs import replace

from common.messages import Left, Presence, Roster, Say, Whisper
from common.session import Datagram, Send, Show, notice
from common.wire import encode, encode_datagram
from stages.stage2_hashed_auth.accounts import Accounts, Login, Register
from stages.stage2_hashed_auth.client import ClientSession
from stages.stage2_hashed_auth.server import Server
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext
from tests.desk import Desk, Listening

ALICE = Presence(name="alice", address="10.13.37.21", udp_port=4001)
BOB = Presence(name="bob", address="10.13.37.22", udp_port=4002)


def client(name: str) -> ClientSession:
    """A member's session, in a room with Alice and Bob."""
    session = ClientSession(name, 4001, "sesame", register=False)
    session.received(Roster(members=[ALICE, BOB]))
    return session


def said(text: str) -> Say:
    """What Alice's client sends when she says this to the room."""
    (send,) = client("alice").say(text)
    assert isinstance(send, Send)
    assert isinstance(send.message, Say)
    return send.message


def whispered(text: str) -> tuple[Whisper, tuple[str, int]]:
    """What Alice's client sends when she whispers this to Bob, and where to."""
    (datagram,) = client("alice").whisper("bob", text)
    assert isinstance(datagram, Datagram)
    assert isinstance(datagram.message, Whisper)
    return datagram.message, datagram.to


@pytest.mark.parametrize("register", [True, False])
def test_password_is_sent_as_it_was_typed_before_the_server_has_said_anything(register: bool) -> None:  # S2-01
    (send,) = ClientSession("alice", 4001, "open sesame", register=register).connected()
    assert isinstance(send, Send)
    assert b'"password":"open sesame"' in encode(send.message)


def test_words_stand_on_the_wire_as_they_were_typed() -> None:  # S2-02
    words = "the door code is 1234"
    assert encode(said(words)).decode() == f'{{"type":"say","from":"alice","text":"{words}"}}\n'
    whisper = encode_datagram(whispered(words)[0]).decode()
    assert whisper == f'{{"type":"whisper","from":"alice","to":"bob","text":"{words}"}}'


def test_equal_texts_are_equal_on_the_wire_lengths_add_up_and_a_whisper_goes_to_its_readers_address() -> None:  # S2-03
    assert encode(said("yes")) == encode(said("yes"))
    assert len(encode(said("no, never"))) - len(encode(said("yes"))) == len("no, never") - len("yes")
    assert whispered("psst")[1] == (BOB.address, BOB.udp_port)


def test_client_says_its_password_to_whoever_answers_and_again_after_every_cut() -> None:  # S2-05
    alice = ClientSession("alice", 4001, "sesame", register=False)
    for _ in range(3):
        assert alice.connected() == [Send(Login(name="alice", password="sesame", udp_port=4001))]
        assert alice.received(Roster(members=[ALICE, BOB])) == alice.who()  # whoever sent it is the server
        alice.disconnected()


def test_message_that_comes_twice_is_shown_twice_from_wherever_it_comes() -> None:  # S2-06
    bob = client("bob")
    recorded, whisper = said("pay the bill"), whispered("psst")[0]
    assert [bob.received(recorded) for _ in range(2)] == [[Show("room", "pay the bill", sender="alice")]] * 2
    again = [bob.datagram(whisper, source) for source in (("10.13.37.21", 4001), ("10.13.37.99", 1))]
    assert again == [[Show("whisper", "psst", sender="alice")]] * 2


def test_words_that_were_changed_on_their_way_are_shown_like_any_others() -> None:  # S2-07
    bob = client("bob")
    changed = replace(said("I have to go now."), text="I owe Mallory 90.")
    assert bob.received(changed) == [Show("room", "I owe Mallory 90.", sender="alice")]
    changed_whisper = replace(whispered("at gate 7")[0], text="at gate 13")
    assert bob.datagram(changed_whisper, ("10.13.37.21", 4001)) == [Show("whisper", "at gate 13", sender="alice")]


def test_name_that_is_taken_gets_another_answer_than_one_that_is_free(tmp_path: Path) -> None:  # S2-08
    accounts = Accounts(tmp_path / "accounts.sqlite", Plaintext())
    accounts.register("alice", "sesame")
    desk = Desk(Server(accounts))
    curious, answers = [desk.connect() for _ in range(2)], []
    for session, name in zip(curious, ("alice", "dora"), strict=True):
        desk.ask(session, Register(name=name, password="x", udp_port=1))
        answers.append(type(desk.read(session)[0]).__name__)
    assert answers == ["Refused", "Roster"]


def test_server_has_the_password_itself_at_every_registration_and_every_login(tmp_path: Path) -> None:  # S2-09
    hashing = Listening()
    desk = Desk(Server(Accounts(tmp_path / "accounts.sqlite", hashing)))
    alice = desk.connect()
    desk.ask(alice, Register(name="alice", password="sesame", udp_port=4001))
    desk.hang_up(alice)
    desk.ask(desk.connect(), Login(name="alice", password="sesame", udp_port=4001))
    assert hashing.heard == [b"sesame"] * 2


def test_member_shows_a_line_under_whatever_name_the_server_wrote_on_it() -> None:  # S2-10
    assert client("bob").received(Say(sender="alice", text="the code is 7")) == [
        Show("room", "the code is 7", sender="alice")
    ]


def test_message_that_the_server_keeps_back_leaves_no_gap() -> None:  # S2-11
    bob, (first, _kept_back, third) = client("bob"), (said(text) for text in ("one", "two", "three"))
    shown = [*bob.received(first), *bob.received(third)]
    assert shown == [Show("room", "one", sender="alice"), Show("room", "three", sender="alice")]


def test_member_believes_the_server_about_who_has_left() -> None:  # S2-11
    alice = client("alice")
    assert alice.received(Left(name="bob")) == [notice("bob left")]
    assert alice.who() == [notice("here: alice (10.13.37.21)")]
