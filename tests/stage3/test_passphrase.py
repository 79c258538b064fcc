"""`key_exchange=passphrase`: the key that words make, a room that exchanges nothing, and what replay protection is then
worth."""

import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from common.errors import LabError
from common.levers import Levers
from common.session import Person, Show
from common.wire import encode
from stages import find
from stages.stage3_symmetric.client import ClientSession
from stages.stage3_symmetric.counters import Counters
from stages.stage3_symmetric.room_key import Ciphers, Counter, KeyGrant, KeyRequest, Kind, RoomKey, Say
from stages.stage3_symmetric.what_if.key_exchange_passphrase import PassphraseSession, UntoldCounters, room_key_from
from stages.stage3_symmetric.what_if.replay_protection_on import CheckedCounters
from tests.stage3.table import Table

WORDS = "green eggs"
TOLD = partial(PassphraseSession, WORDS)

Makes = Callable[..., ClientSession]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Alice and Bob, who know the words."""
    table = Table(tmp_path)
    for name in ("alice", "bob"):
        table.sit(name, made=TOLD)
    return table


# The derivation


def test_room_key_is_hkdf_of_the_passphrase_without_a_salt() -> None:
    """RFC 5869, step by step: a salt that is not given is a string of zeros."""
    extracted = hmac.digest(bytes(32), WORDS.encode(), hashlib.sha256)
    label = b'["progressive-security-lab room key from a passphrase v1","lobby"]'
    expanded = hmac.digest(extracted, label + b"\x01", hashlib.sha256)
    assert room_key_from(WORDS) == expanded
    assert expanded.hex() == "36428825a7d4801528b0f7dd52be143b825905754683e068a13ba43a9f017818"


@pytest.mark.parametrize("stage", [3, 4])
def test_same_words_make_the_same_key_at_both_stages_on_every_keyboard(stage: int) -> None:
    made = find(stage)._module("what_if.key_exchange_passphrase").room_key_from
    assert made("caf\u00e9") == made("cafe\u0301") == room_key_from("caf\u00e9")
    assert made("cafe") != made("caf\u00e9")


def test_no_words_make_no_key() -> None:
    with pytest.raises(LabError, match="There is no passphrase to make the room key from"):
        room_key_from("")


@pytest.mark.parametrize("stage", [3, 4])
@pytest.mark.parametrize("words", ["", "key_exchange=diffie-hellman", "key_exchange=passphrase"])
@pytest.mark.parametrize("checked", ["", " replay_protection=on"])
def test_lever_decides_what_a_session_is_made_of(tmp_path: Path, stage: int, words: str, checked: str) -> None:
    chosen = find(stage)
    levers = Levers.parse(words + checked, chosen.levers)
    session = chosen.client(levers, Person("alice", 4001, "sesame", folder=tmp_path, passphrase=WORDS))
    by_words = words.endswith("passphrase")
    counters = ("UntoldCounters" if by_words else "CheckedCounters") if checked else "Counters"
    assert type(session).__name__ == ("PassphraseSession" if by_words else "ClientSession")
    assert type(session.counters).__name__ == counters  # type: ignore[attr-defined]
    assert chosen.wants_passphrase(levers) is by_words


def test_stage_without_the_lever_wants_no_passphrase() -> None:
    for number in (1, 2, 5):
        stage = find(number)
        assert not stage.knows_passphrase
        assert not stage.wants_passphrase(Levers(known=stage.levers))


# The room


def test_members_talk_and_whisper_and_nothing_is_exchanged(table: Table) -> None:
    carol = table.sit("carol", made=TOLD)
    table.types("alice", "hello")
    table.types("carol", "/to alice only you")
    table.types("bob", "/whisper carol closer")
    assert carol.texts() == [
        "here: alice (10.13.37.21), bob (10.13.37.21), carol (10.13.37.21)",
        "alice: hello",
        "bob: closer",
    ]
    assert table.seats["alice"].texts()[-1] == "carol: only you"
    assert not [message for _, message in table.log if isinstance(message, KeyRequest | KeyGrant)]
    assert not [timer for seat in table.seats.values() for timer in seat.timers]


def test_passphrase_never_crosses_the_wire(table: Table) -> None:
    table.types("alice", "hello")
    sent = b"".join(encode(message) for _, message in table.log)
    assert WORDS.encode() not in sent
    assert b"hello" not in sent


def test_member_who_comes_back_into_an_empty_room_has_the_same_key(table: Table) -> None:
    before = table.seats["alice"].client.room_key
    for name in ("alice", "bob"):
        table.goes(name)
    after = table.sit("alice", made=TOLD).client.room_key
    assert before
    assert after
    assert before.key == after.key == room_key_from(WORDS)


def test_client_that_connects_again_knows_the_key_when_it_knows_who_is_there(table: Table) -> None:
    client = table.seats["alice"].client
    client.disconnected()
    assert client.room_key is None
    client.seek_key()
    assert client.room_key
    assert client.room_key.key == room_key_from(WORDS)


@pytest.mark.parametrize("made", [partial(PassphraseSession, "green ham"), ClientSession], ids=["other", "exchange"])
def test_whoever_does_not_know_the_words_reads_nothing_and_is_not_shown(table: Table, made: Makes) -> None:
    carol = table.sit("carol", made=made)
    carol.texts()
    for name in ("alice", "bob"):
        table.seats[name].texts()
    table.types("alice", "the door code is 1234")
    assert not any("1234" in text for text in carol.texts())
    if carol.client.room_key is None:
        carol.client.room_key = RoomKey.fresh(Ciphers())
    table.types("carol", "hello")
    assert table.seats["bob"].texts() == [
        "alice: the door code is 1234",
        "Something in carol's name was not sealed with the room key; it was dropped.",
    ]


def test_room_key_is_given_to_nobody_who_asks_and_taken_from_nobody_who_sends_one(table: Table) -> None:
    alice = table.seats["alice"].client
    (told,) = alice.received(KeyRequest(sender="dora", to="alice", public_key=bytes(32)))
    assert told == Show("alarm", "dora asked for the room key, which nobody is given here; it was not given.")
    grant = KeyGrant(sender="bob", to="alice", public_key=bytes(32), nonce=bytes(12), ciphertext=b"")
    (told,) = alice.received(grant)
    assert told == Show("alarm", "bob sent a room key that nobody waits for; it was dropped.")
    assert alice.room_key
    assert alice.room_key.key == room_key_from(WORDS)


# Replay protection where nobody tells a newcomer how far the others have counted


@pytest.mark.parametrize(
    ("kind", "counters", "missing"),
    [
        ("room", [(1, 0), (1, 1), (1, 3)], [0, 0, 1]),
        ("room", [(1, 7), (1, 8), (1, 10)], [0, 0, 1]),
        ("room", [(1, 7), (1, 7), (1, 6)], [0, None, None]),
        ("room", [(1, 7), (2, 0), (2, 2)], [0, 0, 1]),
        ("room", [(1, 7), (2, 1)], [0, 1]),
        ("direct", [(1, 5), (1, 5)], [0, None]),
        ("whisper", [(1, 5), (1, 4), (1, 4)], [0, 0, None]),
    ],
)
def test_untold_counters_begin_where_a_sender_is_first_heard(
    tmp_path: Path, kind: Kind, counters: list[Counter], missing: list[int | None]
) -> None:
    untold = UntoldCounters(tmp_path)
    assert [untold.accept("alice", kind, counter) for counter in counters] == missing


def test_told_counters_would_take_what_was_said_before_for_missing(tmp_path: Path) -> None:
    assert CheckedCounters(tmp_path).accept("alice", "room", (1, 7)) == 7


def said_by_alice(table: Table) -> list[Say]:
    """What Alice sent to the room, as the server had it."""
    return [message for way, message in table.log if way == "alice → server" and isinstance(message, Say)]


def test_newcomer_is_shown_nothing_twice_while_it_runs_and_is_told_what_is_missing_since(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.sit("alice", UntoldCounters, made=TOLD)
    for n in range(3):
        table.types("alice", f"before {n}")
    bob = table.sit("bob", UntoldCounters, made=TOLD)
    for n in range(3):
        table.types("alice", f"since {n}")
    assert bob.texts()[1:] == ["alice: since 0", "alice: since 1", "alice: since 2"]
    for said in said_by_alice(table):
        (told,) = bob.client.hear(said)
        assert told == Show("alarm", "An old message of alice's came again; it was dropped.")
    bob.asleep = True
    table.types("alice", "withheld")
    table.desk.read(bob.connection)
    bob.asleep = False
    table.types("alice", "later")
    assert bob.texts() == ["Messages of alice's that are missing here: 1", "alice: later"]


@pytest.mark.parametrize(("made", "shown"), [(TOLD, True), (ClientSession, False)], ids=["passphrase", "exchange"])
def test_old_message_is_shown_once_more_to_a_client_that_was_restarted_and_told_nothing(
    tmp_path: Path, made: Makes, shown: bool
) -> None:
    """What the docstring admits; under the exchange the grant tells how far everybody has counted."""
    table = Table(tmp_path)
    counters: type[Counters] = UntoldCounters if shown else CheckedCounters
    for name in ("alice", "bob"):
        table.sit(name, counters, made=made)
    table.types("alice", "open the gate")
    old = said_by_alice(table)[0]
    table.goes("bob")
    bob = table.sit("bob", counters, made=made)
    (told,) = bob.client.hear(old)
    assert isinstance(told, Show)
    assert (told.kind == "room") is shown
