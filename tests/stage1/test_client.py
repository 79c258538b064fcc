"""Stage 1's client session, in memory: what the person types and sees, what goes over the wire."""

import pytest

from common.commands import HELP, typed
from common.limits import TEXT_BYTES
from common.messages import Join, Joined, Left, Presence, Refused, Roster, Say, Undelivered, Whisper
from common.session import ClientEffect, Close, Datagram, Send, Show, alarm, notice
from stages.stage1_plaintext.client import ClientSession

ALICE = Presence(name="alice", address="10.13.37.21", udp_port=4001)
BOB = Presence(name="bob", address="10.13.37.22", udp_port=4002)


@pytest.fixture
def alice() -> ClientSession:
    """Alice's session, in a room with Bob."""
    session = ClientSession("alice", 4001)
    session.received(Roster(members=[ALICE, BOB]))
    return session


def test_client_joins_as_soon_as_it_is_connected() -> None:
    assert ClientSession("alice", 4001).connected() == [Send(Join(name="alice", udp_port=4001))]


def test_client_shows_who_is_there_once_the_whole_roster_has_come() -> None:
    session = ClientSession("alice", 4001)
    assert session.received(Roster(members=[ALICE], more=True)) == []
    assert session.received(Roster(members=[BOB])) == [notice("here: alice (10.13.37.21), bob (10.13.37.22)")]


def test_client_shows_what_it_is_told(alice: ClientSession) -> None:
    assert alice.received(Say(sender="bob", text="hi")) == [Show("room", "hi", sender="bob")]
    assert alice.received(Say(sender="bob", text="hi", to="alice")) == [Show("direct", "hi", sender="bob")]
    assert alice.received(Joined(name="carol", address="10.13.37.23", udp_port=5)) == [
        notice("carol joined, from 10.13.37.23")
    ]
    assert alice.received(Left(name="bob")) == [notice("bob left")]
    assert alice.who() == [notice("here: alice (10.13.37.21), carol (10.13.37.23)")]


def test_client_shows_a_forged_sender_as_if_it_were_the_real_one(alice: ClientSession) -> None:
    assert alice.received(Say(sender="nobody", text="hi")) == [Show("room", "hi", sender="nobody")]


def test_client_hears_of_somebody_unknown_who_leaves(alice: ClientSession) -> None:
    assert alice.received(Left(name="nobody")) == [notice("nobody left")]


def test_client_says_that_a_message_was_not_delivered(alice: ClientSession) -> None:
    assert alice.received(Undelivered(to="carol")) == [notice("carol is not here; your message was not delivered")]


def test_client_leaves_when_it_is_refused(alice: ClientSession) -> None:
    refused = Refused(code="name-in-use", reason="The name alice is in use; choose another.")
    assert alice.received(refused) == [
        alarm("The server refused: The name alice is in use; choose another."),
        Close(),
    ]


def test_whisper_goes_straight_to_the_address_in_the_roster(alice: ClientSession) -> None:
    datagram = Datagram(Whisper(sender="alice", to="bob", text="psst"), ("10.13.37.22", 4002))
    assert alice.whisper("bob", "psst") == [datagram]
    assert alice.whisper("carol", "psst") == [notice("carol is not here; /who shows who is")]


def test_whisper_goes_to_the_new_address_of_whoever_comes_back(alice: ClientSession) -> None:
    alice.received(Left(name="bob"))
    assert alice.whisper("bob", "psst") == [notice("bob is not here; /who shows who is")]
    alice.received(Joined(name="bob", address="10.13.37.23", udp_port=7))
    assert alice.whisper("bob", "psst") == [
        Datagram(Whisper(sender="alice", to="bob", text="psst"), ("10.13.37.23", 7))
    ]


def test_whisper_is_shown_under_the_name_it_claims_from_whatever_address(alice: ClientSession) -> None:
    whisper = Whisper(sender="bob", to="alice", text="psst")
    assert alice.datagram(whisper, ("10.13.37.99", 1)) == [Show("whisper", "psst", sender="bob")]


def test_whisper_from_nobody_in_the_roster_is_dropped_with_an_alarm(alice: ClientSession) -> None:
    whisper = Whisper(sender="eve", to="alice", text="psst")
    assert alice.datagram(whisper, ("10.13.37.22", 4002)) == [
        alarm("A whisper came from eve, who is not here; it was dropped.")
    ]


def test_whisper_for_somebody_else_is_dropped_with_an_alarm(alice: ClientSession) -> None:
    whisper = Whisper(sender="bob", to="carol", text="psst")
    assert alice.datagram(whisper, ("10.13.37.22", 4002)) == [alarm("A whisper for carol came here; it was dropped.")]


@pytest.mark.parametrize(
    ("line", "effects"),
    [
        ("", []),
        ("   ", []),
        ("hello", [Send(Say(sender="alice", text="hello"))]),
        ("  two  spaces  ", [Send(Say(sender="alice", text="two  spaces"))]),
        ("not a /quit", [Send(Say(sender="alice", text="not a /quit"))]),
        ("/to bob psst, bob", [Send(Say(sender="alice", text="psst, bob", to="bob"))]),
        ("/to  bob   psst", [Send(Say(sender="alice", text="psst", to="bob"))]),
        ("/to bob", [notice("It goes: /to NAME TEXT")]),
        ("/to", [notice("It goes: /to NAME TEXT")]),
        ("/to Bob! hi", [notice("Bob! is no name: names are 1 to 20 of a-z, 0-9, _ and -.")]),
        ("/whisper bob psst", [Datagram(Whisper(sender="alice", to="bob", text="psst"), ("10.13.37.22", 4002))]),
        ("/whisper bob", [notice("It goes: /whisper NAME TEXT")]),
        ("/whisper Bob! hi", [notice("Bob! is not here; /who shows who is")]),
        ("/who", [notice("here: alice (10.13.37.21), bob (10.13.37.22)")]),
        ("/help", [notice(HELP)]),
        ("/quit", [Close()]),
        ("/shout hi", [notice(f"There is no /shout. {HELP}")]),
        ("/", [notice(f"There is no /. {HELP}")]),
        ("\udcff", [notice("That line has bytes that are no text (not UTF-8); it was not sent.")]),
        ("x" * TEXT_BYTES, [Send(Say(sender="alice", text="x" * TEXT_BYTES))]),
        ("é" * TEXT_BYTES, [notice("A text is at most 4096 bytes, and that was 8192; it was not sent.")]),
    ],
)
def test_client_understands_what_is_typed(alice: ClientSession, line: str, effects: list[ClientEffect]) -> None:
    assert typed(alice, line) == effects


def test_client_that_was_cut_off_learns_anew_who_is_here(alice: ClientSession) -> None:
    alice.disconnected()
    assert alice.who() == [notice("here: ")]
    assert alice.received(Roster(members=[ALICE])) == [notice("here: alice (10.13.37.21)")]
