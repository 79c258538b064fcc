"""The findings of the audit as the smallest facts about the code: each would go red if its flaw went away."""

import pytest

import stages
from common.levers import Levers
from common.messages import Join, Joined, Presence, Roster, Say, Whisper
from common.session import Datagram, Person, Send, ServerEffect, Show
from common.wire import decoder, encode
from stages.stage1_plaintext.client import ClientSession
from stages.stage1_plaintext.server import Server, ServerSession

ALICE = Presence(name="alice", address="10.13.37.21", udp_port=4001)
BOB = Presence(name="bob", address="10.13.37.22", udp_port=4002)
CAROL = Presence(name="carol", address="10.13.37.23", udp_port=4003)


def member(name: str, udp_port: int) -> ClientSession:
    """A client in a room with all three."""
    session = ClientSession(name, udp_port)
    session.received(Roster(members=[ALICE, BOB, CAROL]))
    return session


@pytest.fixture
def alice() -> ClientSession:
    return member("alice", 4001)


@pytest.fixture
def bob() -> ClientSession:
    return member("bob", 4002)


def inside(server: Server, name: str) -> ServerSession:
    """A connection that has joined under this name."""
    session = server.session("10.13.37.99")
    session.received(Join(name=name, udp_port=4000))
    return session


def relayed(effects: list[ServerEffect]) -> list[bytes]:
    """The lines that go out, as they stand on the wire."""
    return [encode(effect.message) for effect in effects if isinstance(effect, Send)]


def said(session: ClientSession, text: str) -> bytes:
    """A line of this client's, as it stands on the wire."""
    (effect,) = session.say(text)
    assert isinstance(effect, Send)
    return encode(effect.message)


def whispered(session: ClientSession, to: str, text: str) -> tuple[bytes, tuple[str, int]]:
    """A datagram of this client's, and where it is sent."""
    (effect,) = session.whisper(to, text)
    assert isinstance(effect, Datagram)
    return encode(effect.message), effect.to


def shown(session: ClientSession, line: bytes) -> list[Show]:
    """What this client shows of a line from the server."""
    return [effect for effect in session.received(decoder(session.accepts).decode(line)) if isinstance(effect, Show)]


def shown_whisper(session: ClientSession, datagram: bytes, source: tuple[str, int]) -> list[Show]:
    """What this client shows of a datagram from this address."""
    message = decoder(session.whispers).decode(datagram)
    return [effect for effect in session.datagram(message, source) if isinstance(effect, Show)]


def test_words_stand_on_the_wire_as_they_were_typed(alice: ClientSession) -> None:
    assert b"the door code is 4711" in said(alice, "the door code is 4711")


def test_whisper_stands_on_the_wire_as_it_was_typed(alice: ClientSession) -> None:
    datagram, _ = whispered(alice, "bob", "the safe opens with 4711")
    assert b"the safe opens with 4711" in datagram


def test_name_of_whoever_left_belongs_to_whoever_asks_next() -> None:
    server = Server()
    bob, alice = inside(server, "bob"), inside(server, "alice")
    alice.disconnected()
    mallory = inside(server, "alice")
    assert mallory.inside
    (line,) = relayed(mallory.received(Say(sender="alice", text="send money")))
    assert line == encode(Say(sender="alice", text="send money"))
    assert bob.inside


def test_client_tells_its_name_to_whatever_answers() -> None:
    stage = stages.find(1)
    levers = Levers.parse("", stage.levers)
    assert ClientSession("alice", 4001).connected() == [Send(Join(name="alice", udp_port=4001))]
    assert stage.client_tls(levers, Person("alice", 4001)) is None


def test_changed_words_are_shown_like_any_others(alice: ClientSession, bob: ClientSession) -> None:
    changed = said(alice, "the account ends in 41").replace(b"41", b"99")
    assert shown(bob, changed) == [Show("room", "the account ends in 99", sender="alice")]


def test_message_is_relayed_and_shown_as_often_as_it_comes(alice: ClientSession, bob: ClientSession) -> None:
    server = Server()
    at_alice, _ = inside(server, "alice"), inside(server, "bob")
    line = said(alice, "please open the gate")
    message = decoder(at_alice.accepts).decode(line)
    assert relayed([*at_alice.received(message), *at_alice.received(message)]) == [line, line]
    assert shown(bob, line) == shown(bob, line) == [Show("room", "please open the gate", sender="alice")]


def test_whisper_is_shown_as_often_as_it_comes(alice: ClientSession, bob: ClientSession) -> None:
    datagram, _ = whispered(alice, "bob", "the coast is clear")
    again = [shown_whisper(bob, datagram, ("10.13.37.99", port)) for port in (1, 2)]
    assert again == [[Show("whisper", "the coast is clear", sender="alice")]] * 2


def test_equal_words_are_equal_bytes_and_longer_words_longer_lines(alice: ClientSession) -> None:
    assert said(alice, "yes") == said(alice, "yes")
    assert len(said(alice, "no, never")) - len(said(alice, "yes")) == len("no, never") - len("yes")
    _, address = whispered(alice, "bob", "yes")
    assert address == (BOB.address, BOB.udp_port)


def test_whisper_of_a_member_under_anothers_name_is_shown(bob: ClientSession) -> None:
    forged = encode(Whisper(sender="alice", to="bob", text="I owe Carol 500 euros."))
    seen = shown_whisper(bob, forged, (CAROL.address, CAROL.udp_port))
    assert seen == [Show("whisper", "I owe Carol 500 euros.", sender="alice")]


def test_bits_flipped_in_known_words_make_other_words(alice: ClientSession, bob: ClientSession) -> None:
    known, wanted = b"I have to go now.", b"I owe Mallory 90."
    mask = bytes(a ^ b for a, b in zip(known, wanted, strict=True))
    line = said(alice, known.decode())
    at = line.index(known)
    flipped = bytes(byte ^ mask[i - at] if at <= i < at + len(mask) else byte for i, byte in enumerate(line))
    assert shown(bob, flipped) == [Show("room", wanted.decode(), sender="alice")]


def test_client_that_was_cut_off_begins_again_as_it_began(alice: ClientSession) -> None:
    first = alice.connected()
    alice.disconnected()
    assert alice.connected() == first


def test_what_is_said_after_a_removal_is_as_plain_as_before(alice: ClientSession) -> None:
    server = Server()
    at_alice, carol = inside(server, "alice"), inside(server, "carol")
    inside(server, "bob")
    line = said(alice, "now that Carol has gone: 4711")
    server.remove("carol")
    carol.disconnected()
    (out,) = relayed(at_alice.received(decoder(at_alice.accepts).decode(line)))
    assert out == line
    assert b"now that Carol has gone: 4711" in out


def test_client_believes_whatever_the_server_sends(bob: ClientSession) -> None:
    made_up = encode(Say(sender="alice", text="the code has changed"))
    assert shown(bob, made_up) == shown(bob, made_up) == [Show("room", "the code has changed", sender="alice")]
    assert shown(bob, encode(Joined(name="dave", address="10.13.37.24", udp_port=1))) != []
    assert "dave" in bob.roster
