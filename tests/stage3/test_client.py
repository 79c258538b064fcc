"""Stage 3's client session, in memory: who makes the room key, who gives it to whom, and what is shown."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from common.messages import Left, Message, Presence, Refused, Roster
from common.session import Close, Datagram, Later, Send, Show, alarm
from stages.stage3_symmetric.client import ANSWER_SECONDS
from stages.stage3_symmetric.room_key import Ciphers, Grant, KeyGrant, KeyRequest, RoomKey, Say, Whisper, wrap
from stages.stage3_symmetric.what_if.replay_protection_on import CheckedCounters
from tests.stage3.table import Seat, Table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def key_of(seat: Seat) -> bytes | None:
    """The room key that somebody has."""
    return seat.client.room_key.key if seat.client.room_key else None


def kinds(table: Table, *wanted: str) -> list[str]:
    """Who sent which of these messages, and who got it."""
    named = [(way, str(type(message).__struct_config__.tag)) for way, message in table.log]
    return [f"{way}: {kind}" for way, kind in named if kind in wanted]


# The exchange.


def test_first_member_makes_the_key_at_once(table: Table) -> None:
    alice = table.sit("alice")
    assert key_of(alice) is not None
    assert alice.texts() == ["here: alice (10.13.37.21)"]
    assert kinds(table, "key-request", "key-grant") == []


def test_second_member_asks_the_longest_present_and_gets_the_same_key(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    assert key_of(bob) == key_of(alice) is not None
    assert kinds(table, "key-request", "key-grant") == [
        "bob → server: key-request",
        "server → alice: key-request",
        "alice → server: key-grant",
        "server → bob: key-grant",
    ]
    assert bob.texts() == ["here: alice (10.13.37.21), bob (10.13.37.21)"]
    assert alice.texts()[1:] == ["bob joined, from 10.13.37.21"]


def test_third_member_asks_the_longest_present_only(table: Table) -> None:
    seats = [table.sit(name) for name in ("alice", "bob", "carol")]
    assert len({key_of(seat) for seat in seats}) == 1
    assert kinds(table, "key-request")[2:] == ["carol → server: key-request", "server → alice: key-request"]


def test_every_room_has_another_key(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert key_of(Table(tmp_path / "one").sit("alice")) != key_of(Table(tmp_path / "two").sit("alice"))


def test_key_is_alive_until_the_room_is_empty(table: Table) -> None:
    first = key_of(table.sit("alice"))
    table.sit("bob")
    table.goes("alice")
    assert key_of(table.sit("alice")) == first
    table.goes("bob")
    table.goes("alice")
    assert key_of(table.sit("alice")) != first


def test_every_join_has_a_fresh_pair(table: Table) -> None:
    table.sit("alice")
    for _ in range(3):
        table.sit("bob")
        table.goes("bob")
    keys = [message.public_key for _, message in table.log if isinstance(message, KeyRequest | KeyGrant)]
    assert len(keys) == 12
    assert len(set(keys)) == 6  # each pair is seen on its way to the server and from it


def test_newcomer_asks_the_next_one_when_the_first_does_not_answer_in_time(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    alice.asleep = True
    carol = table.sit("carol")
    assert key_of(carol) is None
    assert [timer.seconds for timer in carol.timers] == [ANSWER_SECONDS]
    table.times_out("carol")
    assert key_of(carol) == key_of(bob)
    alice.asleep = False
    table.settle()
    assert carol.texts()[1:] == ["alice sent a room key that nobody waits for; it was dropped."]
    assert key_of(carol) == key_of(alice)


def test_time_out_after_the_answer_does_nothing(table: Table) -> None:
    table.sit("alice")
    bob = table.sit("bob")
    before = key_of(bob)
    table.log.clear()
    table.times_out("bob")
    assert table.log == []
    assert key_of(bob) == before


def test_newcomer_begins_again_when_nobody_answers(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    alice.asleep = bob.asleep = True
    carol = table.sit("carol")
    for _ in range(3):
        table.times_out("carol")
    asked = [message.to for way, message in table.log if isinstance(message, KeyRequest) and way == "carol → server"]
    assert asked == ["alice", "bob", "alice", "bob"]
    bob.asleep = False
    table.settle()
    assert key_of(carol) == key_of(bob)


def test_newcomer_asks_the_next_one_when_the_first_leaves_before_answering(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    alice.asleep = True
    carol = table.sit("carol")
    table.goes("alice")
    assert key_of(carol) == key_of(bob)


def test_newcomer_makes_the_key_when_the_only_holder_leaves_before_answering(table: Table) -> None:
    alice = table.sit("alice")
    old, alice.asleep = key_of(alice), True
    bob = table.sit("bob")
    assert key_of(bob) is None
    table.goes("alice")
    assert key_of(bob) not in (None, old)


def test_request_that_finds_nobody_goes_to_the_next(table: Table) -> None:
    """The request crosses the news that Alice has left: the server answers `undelivered`."""
    table.sit("alice")
    bob = table.sit("bob")
    carol = table.sit("carol", settle=False)
    table.goes("alice")
    assert key_of(carol) == key_of(bob)


def test_two_newcomers_at_once_end_with_one_key(table: Table) -> None:
    bob, carol = table.sit("bob", settle=False), table.sit("carol", settle=False)
    table.deliver("carol")  # carol asks bob, who does not know yet that he is the first
    table.settle()
    assert key_of(bob) == key_of(carol) is not None


def test_request_before_the_key_is_there_is_answered_when_it_is(table: Table) -> None:
    alice = table.sit("alice")
    alice.asleep = True
    bob, carol = table.sit("bob"), table.sit("carol")
    table.times_out("carol")  # alice does not answer, so carol asks bob, who has no key either
    assert key_of(bob) is key_of(carol) is None
    alice.asleep = False
    table.deliver("alice")
    table.settle()
    assert key_of(bob) == key_of(carol) == key_of(alice)


def test_whoever_asked_and_left_before_the_key_was_there_is_not_answered(table: Table) -> None:
    alice = table.sit("alice")
    alice.asleep = True
    bob, _carol = table.sit("bob"), table.sit("carol")
    table.times_out("carol")
    table.goes("carol")
    table.goes("alice")
    assert key_of(bob) is not None
    assert not any("not delivered" in text for text in bob.texts())


# An exchange that somebody else takes part in.


def granted(newcomer: Seat, sender: str = "alice", key: bytes = bytes(32)) -> KeyGrant:
    """A room key for a newcomer, from whoever carries the exchange."""
    public = newcomer.client.own.public_key().public_bytes_raw()
    name = newcomer.client.name
    return wrap(Grant(key=key, counters={}), name, sender, KeyRequest(sender=name, to=sender, public_key=public))


def test_room_key_that_nobody_asked_for_is_refused_and_told(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    before = key_of(bob)
    told = [alarm("alice sent a room key that nobody waits for; it was dropped.")]
    assert bob.client.received(granted(bob)) == told
    assert alice.client.received(granted(alice, "bob")) == [
        alarm("bob sent a room key that nobody waits for; it was dropped.")
    ]
    assert key_of(bob) == key_of(alice) == before


def test_room_key_from_somebody_who_was_not_asked_is_refused_and_told(table: Table) -> None:
    table.sit("alice").asleep = True
    bob = table.sit("bob")
    assert bob.client.received(granted(bob, "carol")) == [
        alarm("carol sent a room key that nobody waits for; it was dropped.")
    ]
    assert key_of(bob) is None


def test_one_answer_is_taken_and_no_second(table: Table) -> None:
    table.sit("alice").asleep = True
    bob = table.sit("bob")
    bob.client.received(granted(bob, key=b"1" * 32))
    bob.client.received(granted(bob, key=b"2" * 32))
    assert key_of(bob) == b"1" * 32


@pytest.mark.parametrize("change", [{"public_key": bytes(32)}, {"nonce": bytes(12)}, {"ciphertext": b""}])
def test_answer_that_does_not_open_is_told_and_the_right_one_still_taken(table: Table, change: dict[str, Any]) -> None:
    table.sit("alice").asleep = True
    bob = table.sit("bob")
    right = granted(bob)
    assert bob.client.received(replace(right, **change)) == [
        alarm("The room key that alice sent was not wrapped for you; it was dropped.")
    ]
    assert key_of(bob) is None
    bob.client.received(right)
    assert key_of(bob) == bytes(32)


def test_request_with_a_public_key_of_small_order_is_not_answered_and_told(table: Table) -> None:
    alice = table.sit("alice")
    assert alice.client.received(KeyRequest(sender="bob", to="alice", public_key=bytes(32))) == [
        alarm("bob asked for the room key with a key that is none; it was not given.")
    ]


@pytest.mark.parametrize("key", ["with the key", "without the key"])
@pytest.mark.parametrize(
    "message",
    [
        Roster(members=[]),
        Roster(members=[Presence(name="eve", address="10.13.37.1", udp_port=1)]),
        Roster(members=[Presence(name="bob", address="10.13.37.1", udp_port=1)]),
        Left(name="bob"),
        Left(name="alice"),
    ],
    ids=repr,
)
def test_server_that_lies_about_who_is_here_crashes_nobody_and_changes_no_key(
    table: Table, key: str, message: Message
) -> None:
    table.sit("alice").asleep = key == "without the key"
    bob = table.sit("bob")
    before = key_of(bob)
    effects = bob.client.received(message)  # type: ignore[arg-type]
    assert all(isinstance(effect, Send | Show | Later) for effect in effects)
    if before is not None:
        assert key_of(bob) == before
        assert not any(isinstance(effect, Send) for effect in effects)


# What is said.


def test_what_is_said_before_the_key_is_there_is_not_sent(table: Table) -> None:
    table.sit("alice").asleep = True
    bob = table.sit("bob")
    table.log.clear()
    for line in ("hello", "/to alice psst", "/whisper alice psst"):
        table.types("bob", line)
    assert table.log == []
    assert bob.texts() == ["You have no room key yet; that was not sent."] * 3


def test_what_comes_before_the_key_is_told_now_and_then_and_no_alarm(table: Table) -> None:
    alice = table.sit("alice")
    alice.asleep = True
    bob = table.sit("bob")
    for _ in range(5):
        table.types("alice", "hello")
    assert [show.kind for show in bob.shown] == ["notice"] * 3
    assert bob.texts() == ["Something of alice's came before you had the room key; it cannot be shown."] * 3


def test_people_talk_to_the_room_to_one_and_directly(table: Table) -> None:
    alice, bob, carol = (table.sit(name) for name in ("alice", "bob", "carol"))
    for seat in (alice, bob, carol):
        seat.texts()
    table.types("alice", "hello, everybody")
    table.types("alice", "/to bob psst")
    table.types("alice", "/whisper bob closer")
    assert [(show.kind, show.sender, show.text) for show in bob.shown] == [
        ("room", "alice", "hello, everybody"),
        ("direct", "alice", "psst"),
        ("whisper", "alice", "closer"),
    ]
    assert carol.texts() == ["alice: hello, everybody"]
    assert not any(text in repr(table.log) for text in ("hello, everybody", "psst", "closer"))


def test_counters_count_each_kind_and_begin_anew_in_the_next_session(table: Table) -> None:
    table.sit("alice")
    table.sit("bob")
    for line in ("one", "two", "/to bob three", "/whisper bob four"):
        table.types("alice", line)
    table.goes("alice")
    table.sit("alice")
    table.types("alice", "five")
    sent = [m for way, m in table.log if way.startswith("alice → ") and isinstance(m, Say | Whisper)]
    assert [(message.kind, *message.counter) for message in sent] == [
        ("room", 1, 0),
        ("room", 1, 1),
        ("direct", 1, 0),
        ("whisper", 1, 0),
        ("room", 2, 0),
    ]


@pytest.fixture
def bob(table: Table) -> Seat:
    """Bob, in a room with Alice and Carol."""
    seats = [table.sit(name) for name in ("alice", "bob", "carol")]
    for seat in seats:
        seat.texts()
    return seats[1]


def sealed(bob: Seat, kind: Any, to: str | None, sender: str = "alice") -> Any:
    """Something under Bob's room key."""
    assert bob.client.room_key
    return bob.client.room_key.seal(kind, sender, to, (1, 0), "hi")


DROPPED = [alarm("Something in alice's name was not sealed with the room key; it was dropped.")]


def test_kind_decides_how_a_message_is_shown_and_cannot_be_swapped(bob: Seat) -> None:
    client, source = bob.client, ("10.13.37.21", 4001)
    room, direct, whisper = (
        sealed(bob, kind, to) for kind, to in (("room", None), ("direct", "bob"), ("whisper", "bob"))
    )
    assert client.received(room) == [Show("room", "hi", sender="alice")]
    assert client.received(direct) == [Show("direct", "hi", sender="alice")]
    assert client.datagram(whisper, source) == [Show("whisper", "hi", sender="alice")]

    def relabelled(make: Any, message: Any, **change: Any) -> Any:
        fields = {name: getattr(message, name) for name in message.__struct_fields__}
        return make(**{**fields, **change})

    attempts = [
        client.received(relabelled(Say, whisper)),  # a whisper through the server, as it is
        client.received(relabelled(Say, whisper, kind="direct")),
        client.received(relabelled(Say, room, to="bob")),
        client.received(relabelled(Say, direct, to=None)),
        client.datagram(relabelled(Whisper, direct), source),
        client.datagram(relabelled(Whisper, direct, kind="whisper"), source),
        client.datagram(relabelled(Whisper, room, kind="whisper", to="bob"), source),
    ]
    assert attempts == [DROPPED, DROPPED, [], DROPPED, [], [], []]  # told the 1st, 2nd, 4th … time


def test_message_under_another_name_is_dropped_and_told(bob: Seat) -> None:
    relabelled = replace(sealed(bob, "room", None), sender="carol")
    assert bob.client.received(relabelled) == [
        alarm("Something in carol's name was not sealed with the room key; it was dropped.")
    ]


def test_message_for_somebody_else_is_dropped_and_told(bob: Seat) -> None:
    told = [alarm("A message for carol came here; it was dropped.")]
    assert bob.client.received(sealed(bob, "direct", "carol")) == told
    assert bob.client.datagram(sealed(bob, "whisper", "carol"), ("10.13.37.21", 1)) == [
        alarm("A whisper for carol came here; it was dropped.")
    ]


def test_whisper_of_somebody_who_is_not_here_is_dropped_and_told(bob: Seat) -> None:
    assert bob.client.datagram(sealed(bob, "whisper", "bob", "dora"), ("10.13.37.21", 1)) == [
        alarm("A whisper came from dora, who is not here; it was dropped.")
    ]


def test_whisper_to_somebody_who_is_not_here_is_not_sent(table: Table, bob: Seat) -> None:
    table.log.clear()
    table.types("bob", "/whisper dora psst")
    assert table.log == []
    assert bob.texts() == ["dora is not here; /who shows who is"]


def test_message_under_an_old_key_is_dropped_and_told(bob: Seat) -> None:
    old = RoomKey.fresh(Ciphers()).seal("room", "alice", None, (1, 0), "hi")
    assert isinstance(old, Say)
    assert bob.client.received(old) == DROPPED


def test_what_does_not_open_is_told_the_first_second_fourth_time_for_each_name(bob: Seat) -> None:
    forged = [replace(sealed(bob, "room", None, name), ciphertext=b"x" * 20) for name in ("alice", "carol")]
    told = [[len(bob.client.received(message)) for _ in range(9)] for message in forged]
    assert told == [[1, 1, 0, 1, 0, 0, 0, 1, 0]] * 2


def test_message_to_nobody_is_told(table: Table, bob: Seat) -> None:
    table.types("bob", "/to dora are you there?")
    assert bob.texts() == ["dora is not here; your message was not delivered"]


def test_recorded_message_is_shown_again_by_default_and_refused_with_the_remedy(table: Table) -> None:
    table.sit("alice")
    seats = table.sit("bob"), table.sit("carol", CheckedCounters)
    table.types("alice", "pay the bill")
    recorded = next(message for _, message in table.log if isinstance(message, Say))
    again = [seat.client.received(recorded) for seat in seats]
    assert again == [
        [Show("room", "pay the bill", sender="alice")],
        [alarm("An old message of alice's came again; it was dropped.")],
    ]


def test_whisper_recorded_before_bob_restarted_is_refused_with_the_remedy(table: Table) -> None:
    table.sit("alice")
    table.sit("bob", CheckedCounters)
    table.types("alice", "/whisper bob psst")
    recorded = next(message for _, message in table.log if isinstance(message, Whisper))
    table.goes("bob")
    bob = table.sit("bob", CheckedCounters)
    assert bob.client.datagram(recorded, ("10.13.37.21", 4001)) == [
        alarm("An old message of alice's came again; it was dropped.")
    ]
    bob.texts()
    table.types("alice", "/whisper bob and now?")
    assert bob.texts() == ["alice: and now?"]


def test_member_who_skips_as_far_as_can_be_does_no_harm(table: Table) -> None:
    table.sit("alice")
    bob = table.sit("bob", CheckedCounters)
    key = bob.client.room_key
    assert key
    for n in (0, 2**53 - 1):
        far = key.seal("whisper", "alice", "bob", (1, n), "hi")
        assert isinstance(far, Whisper)
        assert bob.client.datagram(far, ("10.13.37.21", 1)) == [Show("whisper", "hi", sender="alice")]


def test_client_leaves_when_it_is_refused(bob: Seat) -> None:
    refused = Refused(code="replaced", reason="The reason.")
    assert bob.client.received(refused) == [alarm("The server refused: The reason."), Close()]


def test_own_key_is_nowhere_on_the_wire(table: Table, bob: Seat) -> None:
    private = bob.client.own.private_bytes_raw()
    assert isinstance(bob.client.own, X25519PrivateKey)
    wire = repr(table.log).encode()
    assert private not in wire
    assert repr(private).encode()[2:-1] not in wire
    assert isinstance(bob.client.whisper("alice", "psst")[0], Datagram)


def test_client_that_was_cut_off_asks_for_the_key_again_with_a_fresh_pair(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    before = bob.client.own
    table.desk.hang_up(bob.connection)
    table.settle()
    bob.client.disconnected()
    assert key_of(bob) is None
    assert bob.client.own is not before
    bob.connection = table.desk.connect()
    table.perform("bob", bob.client.connected())
    table.settle()
    assert key_of(bob) == key_of(alice) is not None
