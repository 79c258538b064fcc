"""What audits/stage4-tls.md says of the sessions, each flaw shown by itself: mended or changed, the test goes red."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.messages import Joined, Left, Presence, Refused, Roster
from common.session import Datagram, Send, Show, Work, notice
from common.wire import encode, encode_datagram
from stages.stage4_tls import tls
from stages.stage4_tls.accounts import Accounts, Login, Register
from stages.stage4_tls.client import ClientSession
from stages.stage4_tls.counters import Counters
from stages.stage4_tls.room_key import Ciphers, KeyGrant, KeyRequest, RoomKey, Say, Whisper, unwrap
from stages.stage4_tls.server import Server
from stages.stage4_tls.what_if.password_hash import Plaintext
from tests.desk import Desk
from tests.stage4.test_tls import folders, shake_hands

NAMES = ("alice", "bob", "carol")


def presence(name: str) -> Presence:
    """Where a member is."""
    return Presence(name=name, address=f"10.13.37.{20 + len(name)}", udp_port=4000 + len(name))


def member(name: str, folder: Path) -> ClientSession:
    """A client as it starts, with what it keeps in its folder."""
    (folder / name).mkdir(exist_ok=True)
    counters = Counters(folder / name)
    return ClientSession(name, 4000 + len(name), "sesame", register=False, ciphers=Ciphers(), counters=counters)


def in_the_room(name: str, folder: Path, key: RoomKey) -> ClientSession:
    """A client that is in, with Alice, Bob and Carol there and this room key."""
    client = member(name, folder)
    client.room_key = key
    client.received(Roster(members=[presence(other) for other in NAMES]))
    return client


@pytest.fixture
def key() -> RoomKey:
    return RoomKey.fresh(Ciphers())


def sent(effects: list[Any]) -> Any:
    """The one message that goes out."""
    (message,) = [effect.message for effect in effects if isinstance(effect, Send | Datagram)]
    return message


# S4-01: the server can still take the room key, and speak with it.


def test_member_whom_the_server_invented_is_given_the_room_key_and_can_speak_as_anybody(tmp_path: Path) -> None:
    alice = member("alice", tmp_path)
    alice.received(Roster(members=[presence("alice")]))
    assert alice.room_key
    ghost = X25519PrivateKey.generate()
    alice.received(Joined(name="dora", address="10.13.37.10", udp_port=9))
    request = KeyRequest(sender="dora", to="alice", public_key=ghost.public_key().public_bytes_raw())
    grant = sent(alice.received(request))
    assert isinstance(grant, KeyGrant)
    taken = RoomKey(unwrap(ghost, grant).key, Ciphers())
    assert taken.key == alice.room_key.key
    bob = in_the_room("bob", tmp_path, RoomKey(alice.room_key.key, Ciphers()))
    forged = taken.seal("room", "alice", None, (9, 0), "the code has changed")
    assert bob.received(forged) == [Show("room", "the code has changed", sender="alice")]  # type: ignore[arg-type]


# S4-02: every member has the key to every whisper.


def test_whisper_opens_for_every_member_and_for_one_who_has_left_and_is_made_by_them_too(
    tmp_path: Path, key: RoomKey
) -> None:
    alice, bob = in_the_room("alice", tmp_path, key), in_the_room("bob", tmp_path, key)
    remembered = RoomKey(key.key, Ciphers())  # what Carol took along
    for session in (alice, bob):
        session.received(Left(name="carol"))
    assert remembered.open(sent(alice.whisper("bob", "only for you"))) == "only for you"
    forged = remembered.seal("whisper", "alice", "bob", (1001, 0), "I owe Carol 100 euros.")
    assert isinstance(forged, Whisper)
    assert bob.datagram(forged, ("10.13.37.23", 1)) == [Show("whisper", "I owe Carol 100 euros.", sender="alice")]


# S4-03: a recorded whisper is shown again.


def test_recorded_whisper_is_shown_again_also_after_a_restart(tmp_path: Path, key: RoomKey) -> None:
    alice, bob = in_the_room("alice", tmp_path, key), in_the_room("bob", tmp_path, key)
    recorded = sent(alice.whisper("bob", "the coast is clear"))
    once = [Show("whisper", "the coast is clear", sender="alice")]
    assert bob.datagram(recorded, ("10.13.37.21", 1)) == once
    assert bob.datagram(recorded, ("10.13.37.66", 1)) == once
    assert in_the_room("bob", tmp_path, key).datagram(recorded, ("10.13.37.66", 1)) == once


# S4-04: a server that cuts a member off is not told from silence.


def test_members_whom_the_server_cuts_off_are_told_what_it_says_and_nothing_else(tmp_path: Path, key: RoomKey) -> None:
    alice, bob = in_the_room("alice", tmp_path, key), in_the_room("bob", tmp_path, key)
    assert alice.received(Left(name="bob")) == [notice("bob left")]  # the lie
    for text in ("one thing more", "I have to go now"):
        assert isinstance(sent(alice.say(text)), Say)  # and nothing comes to Bob
    assert bob.received(Left(name="alice")) == [notice("alice left")]


# S4-06: one stolen room key opens the past.


def test_one_room_key_opens_all_that_was_said_since_the_room_was_empty(tmp_path: Path) -> None:
    alice = member("alice", tmp_path)
    alice.received(Roster(members=[presence("alice")]))
    record = [sent(alice.say("yesterday"))]
    alice.received(Joined(name="bob", address="10.13.37.22", udp_port=4003))
    record.append(sent(alice.say("today")))
    alice.received(Left(name="bob"))
    record.append(sent(alice.say("after he left")))
    assert alice.room_key
    stolen = RoomKey(alice.room_key.key, Ciphers())
    assert [stolen.open(sealed) for sealed in record] == ["yesterday", "today", "after he left"]


# S4-07: the server is told every password.


def test_server_is_handed_the_password_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str]] = []
    accounts = Accounts(tmp_path / "accounts.sqlite", Plaintext())
    monkeypatch.setattr(accounts, "verify", lambda name, password: heard.append((name, password)))
    client = member("alice", tmp_path)
    (work,) = Server(accounts).session("10.13.37.21").received(sent(client.connected()))
    assert isinstance(work, Work)
    work.slow()
    assert heard == [("alice", "sesame")]


# S4-08: the length of what is said shows through TLS.


def test_length_of_a_text_shows_in_the_record_that_carries_it(tmp_path: Path, key: RoomKey) -> None:
    server, authority = folders(tmp_path)
    context = tls.server_context(server, authority)
    alice = in_the_room("alice", tmp_path, key)
    lengths = []
    for text in ("yes", "no, never"):
        end, wire = shake_hands_and_listen(context, tls.client_context(authority / "ca.pem"))
        line = encode(sent(alice.say(text)))
        end.write(line)
        lengths.append(wire.pending)
        assert lengths[-1] == len(line) + 22  # 5 of header, 1 of content type, 16 of tag: RFC 8446, section 5.2
    assert lengths[1] - lengths[0] == 8


def shake_hands_and_listen(server: Any, client: Any) -> tuple[Any, Any]:
    """A client that is connected, and what it has put on the wire and nobody has taken off."""
    wires: list[Any] = []
    end = shake_hands(server, client, wires=wires)
    wire = wires[0]
    wire.read()
    return end, wire


# S4-09: the server repeats and leaves out.


def test_message_that_comes_twice_is_shown_twice_and_one_that_is_left_out_is_not_missed(
    tmp_path: Path, key: RoomKey
) -> None:
    alice, bob = in_the_room("alice", tmp_path, key), in_the_room("bob", tmp_path, key)
    first, _, third = (sent(alice.say(text)) for text in ("one", "two", "three"))
    shown = [effect for message in (first, first, third) for effect in bob.received(message)]
    assert shown == [Show("room", text, sender="alice") for text in ("one", "one", "three")]


# S4-10: registering tells who has an account.


def test_registering_is_answered_differently_where_the_name_has_an_account(tmp_path: Path) -> None:
    desk = Desk(Server(Accounts(tmp_path / "accounts.sqlite", Plaintext())))
    answers = []
    for name in ("alice", "alice", "zoe"):
        asking = desk.connect()
        desk.ask(asking, Register(name=name, password="a guess", udp_port=4001))
        answers.append(desk.read(asking)[0])
        desk.hang_up(asking)
    assert [type(answer) for answer in answers] == [Roster, Refused, Roster]
    for name in ("alice", "nobody"):  # while a login tells nothing
        asking = desk.connect()
        desk.ask(asking, Login(name=name, password="a wrong guess", udp_port=4001))
        assert desk.refusal(asking) == "wrong-password"


# S4-11: addresses tell who whispers to whom.


def test_whisper_goes_straight_to_its_recipient_with_both_names_in_the_clear(tmp_path: Path, key: RoomKey) -> None:
    (datagram,) = in_the_room("alice", tmp_path, key).whisper("bob", "between us")
    assert isinstance(datagram, Datagram)
    assert datagram.to == (presence("bob").address, presence("bob").udp_port)
    assert b'"from":"alice","to":"bob"' in encode_datagram(datagram.message)
