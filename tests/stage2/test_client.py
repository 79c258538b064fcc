"""Stage 2's client session, in memory: what the person types and sees, what goes over the wire."""

import pytest

from common.messages import Joined, Left, Presence, Refused, Roster, Say, Undelivered, Whisper
from common.session import Close, Datagram, Send, Show, alarm, notice
from common.wire import encode
from stages.stage2_hashed_auth.accounts import Login, Register
from stages.stage2_hashed_auth.client import ClientSession

ALICE = Presence(name="alice", address="10.13.37.21", udp_port=4001)
BOB = Presence(name="bob", address="10.13.37.22", udp_port=4002)


@pytest.fixture
def alice() -> ClientSession:
    """Alice's session, in a room with Bob."""
    session = ClientSession("alice", 4001, "sesame", register=False)
    session.received(Roster(members=[ALICE, BOB]))
    return session


def test_client_logs_in_as_soon_as_it_is_connected() -> None:
    session = ClientSession("alice", 4001, "sesame", register=False)
    assert session.connected() == [Send(Login(name="alice", password="sesame", udp_port=4001))]


def test_client_makes_an_account_where_it_is_asked_to() -> None:
    session = ClientSession("alice", 4001, "sesame", register=True)
    assert session.connected() == [Send(Register(name="alice", password="sesame", udp_port=4001))]


def test_what_enters_is_one_line_on_the_wire_with_the_password_in_it() -> None:
    register = Register(name="alice", password="sésame", udp_port=4001)
    assert encode(register).decode() == '{"type":"register","name":"alice","password":"sésame","udp_port":4001}\n'
    login = Login(name="alice", password="sésame", udp_port=4001)
    assert encode(login).decode() == '{"type":"login","name":"alice","password":"sésame","udp_port":4001}\n'


def test_password_is_in_nothing_that_is_shown_or_sent_later(alice: ClientSession) -> None:
    effects = [
        *alice.say("hello"),
        *alice.whisper("bob", "psst"),
        *alice.who(),
        *alice.received(Refused(code="wrong-password", reason="The name or the password is not right.")),
    ]
    assert len(effects) == 5
    assert not any("sesame" in repr(effect) for effect in effects)


def test_client_shows_what_it_is_told(alice: ClientSession) -> None:
    assert alice.received(Say(sender="bob", text="hi")) == [Show("room", "hi", sender="bob")]
    assert alice.received(Say(sender="bob", text="hi", to="alice")) == [Show("direct", "hi", sender="bob")]
    joined = Joined(name="carol", address="10.13.37.23", udp_port=5)
    assert alice.received(joined) == [notice("carol joined, from 10.13.37.23")]
    assert alice.received(Left(name="bob")) == [notice("bob left")]
    assert alice.who() == [notice("here: alice (10.13.37.21), carol (10.13.37.23)")]
    assert alice.received(Undelivered(to="bob")) == [notice("bob is not here; your message was not delivered")]


@pytest.mark.parametrize("code", ["wrong-password", "name-taken", "replaced", "removed", "busy"])
def test_client_leaves_when_it_is_refused_and_says_why(alice: ClientSession, code: str) -> None:
    refused = Refused(code=code, reason="The reason.")
    assert alice.received(refused) == [alarm("The server refused: The reason."), Close()]


def test_client_speaks_and_whispers_as_before(alice: ClientSession) -> None:
    assert alice.say("hello") == [Send(Say(sender="alice", text="hello"))]
    assert alice.say("psst", "bob") == [Send(Say(sender="alice", text="psst", to="bob"))]
    whisper = Whisper(sender="alice", to="bob", text="psst")
    assert alice.whisper("bob", "psst") == [Datagram(whisper, ("10.13.37.22", 4002))]


def test_whisper_is_still_shown_under_the_name_it_claims(alice: ClientSession) -> None:
    whisper = Whisper(sender="bob", to="alice", text="psst")
    assert alice.datagram(whisper, ("10.13.37.99", 1)) == [Show("whisper", "psst", sender="bob")]


def test_client_that_was_cut_off_logs_in_to_the_account_that_it_made() -> None:
    session = ClientSession("alice", 4001, "sesame", register=True)
    session.connected()
    session.received(Roster(members=[ALICE, BOB]))
    session.disconnected()
    assert session.connected() == [Send(Login(name="alice", password="sesame", udp_port=4001))]
    assert session.who() == [notice("here: ")]
