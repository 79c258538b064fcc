"""Stage 5's client session, in memory: who is met with which key, what is sealed for whom, and what is shown."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.text import wrap
from stages.stage5_box.box import Member, Roster, Say, Whisper, safety_number
from stages.stage5_box.what_if.padding_buckets import Buckets
from stages.stage5_box.what_if.pinning import NoPins, VerifiedPins
from tests.stage5.table import Seat, Table, fresh, joined


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def three(table: Table) -> tuple[Seat, Seat, Seat]:
    """Alice, Bob and Carol, who have met."""
    alice, bob, carol = (table.sit(name) for name in ("alice", "bob", "carol"))
    for seat in (alice, bob, carol):
        seat.texts()
        seat.boxes()
    return alice, bob, carol


def number(one: Seat, other: Seat) -> str:
    """The safety number of two."""
    return safety_number(*((seat.client.name, seat.client.public_key) for seat in (one, other)))


CHANGED = (
    "BOB'S KEY HAS CHANGED. Somebody may be in between. Nothing is sent to bob or shown from them, until you have "
    "asked them, and typed /trust bob"
)
NOT_SENT = "Not sent to bob: their key is not the one you know; ask them, then /trust bob"
NOT_SEALED = "Something in alice's name was not sealed by them for you as it says; it was dropped."
OLD = "An old message of alice's came again; it was dropped."


# First contact.


def test_first_contact_shows_both_the_same_safety_number(table: Table) -> None:
    alice, bob = table.sit("alice"), table.sit("bob")
    same = number(alice, bob)
    assert alice.texts() == [
        "here: alice (10.13.37.21)",
        "bob joined, from 10.13.37.21",
        "First contact with bob. Their safety number with you:",
        same,
    ]
    assert bob.texts() == [
        "First contact with alice. Their safety number with you:",
        same,
        "here: alice (10.13.37.21), bob (10.13.37.21)",
    ]


def test_who_comes_again_with_the_same_key_is_known(table: Table) -> None:
    alice, bob, _ = three(table)
    table.goes("bob")
    again = table.sit("bob")
    assert again.client.public_key == bob.client.public_key
    assert alice.texts() == ["bob left", "bob joined, from 10.13.37.21"]
    assert again.texts() == ["here: alice (10.13.37.21), carol (10.13.37.21), bob (10.13.37.21)"]


# Speaking.


def test_what_is_said_to_the_room_is_a_box_for_each_member(table: Table) -> None:
    alice, bob, carol = three(table)
    table.types("alice", "hello")
    boxes = alice.boxes()
    assert [(type(box), box.sender, box.to) for box in boxes] == [(Say, "alice", "bob"), (Say, "alice", "carol")]
    assert len({box.ciphertext for box in boxes}) == 2
    assert bob.texts() == carol.texts() == ["room alice: hello"]
    assert alice.texts() == []


def test_direct_message_and_whisper_reach_one_and_say_what_they_are(table: Table) -> None:
    _, bob, carol = three(table)
    table.types("alice", "/to bob psst")
    table.types("alice", "/whisper bob closer")
    assert bob.texts() == ["direct alice: psst", "whisper alice: closer"]
    assert carol.texts() == []


def test_padding_hides_yes_among_no(table: Table) -> None:
    alice, bob = table.sit("alice", Buckets()), table.sit("bob", Buckets())
    alice.boxes()
    bob.texts()
    table.types("alice", "yes")
    table.types("alice", "no, never")
    assert len({len(box.ciphertext) for box in alice.boxes()}) == 1
    assert bob.texts() == ["room alice: yes", "room alice: no, never"]


@pytest.mark.parametrize("line", ["/to dave hello", "/whisper dave hello", "/to alice hello", "/whisper alice hello"])
def test_message_to_nobody_is_not_sent(table: Table, line: str) -> None:
    alice, _, _ = three(table)
    table.types("alice", line)
    assert alice.boxes() == []
    assert alice.texts() == [f"{line.split()[1]} is not here; /who shows who is"]


def test_message_to_somebody_who_just_left_is_undelivered_and_the_connection_stays(table: Table) -> None:
    alice, _, _ = three(table)
    table.desk.hang_up(table.seats.pop("bob").connection)
    table.types("alice", "/to bob hello")
    assert "bob is not here; your message was not delivered" in alice.texts()
    table.types("alice", "hello")
    assert table.seats["carol"].texts() == ["bob left", "room alice: hello"]


# A changed key.


def test_changed_key_is_told_and_what_is_said_goes_to_all_but_that_one(table: Table) -> None:
    alice, bob, carol = three(table)
    assert table.gets("alice", joined("bob", fresh())) == ["bob joined, from 10.13.37.66", CHANGED]
    table.types("alice", "hello")
    assert [box.to for box in alice.boxes()] == ["carol"]
    assert alice.texts() == [NOT_SENT]
    assert carol.texts() == ["room alice: hello"]
    for line in ("/to bob hello", "/whisper bob hello"):
        table.types("alice", line)
        assert (alice.boxes(), alice.texts()) == ([], [NOT_SENT])
    table.types("bob", "hello")
    assert alice.texts() == [
        "Something in bob's name was not shown: their key is not the one you know; ask them, then /trust bob"
    ]
    table.types("alice", "/verify bob same")
    assert alice.texts() == ["bob's key is not the one you know; first decide with /trust bob"]
    assert bob.texts() == []


def test_changed_key_is_refused_after_a_restart_too(table: Table) -> None:
    three(table)
    table.goes("bob")
    (table.folder / "bob" / "identity").unlink()
    bob = table.sit("bob")
    table.goes("alice")
    alice = table.sit("alice")
    assert CHANGED in alice.texts()
    bob.texts()
    table.types("alice", "hello")
    assert bob.texts() == []


def test_trust_takes_the_new_key_and_all_goes_on(table: Table) -> None:
    alice, _, _ = three(table)
    table.types("alice", "to the old key")  # the counters of the old pair of keys are nothing to the new one
    table.goes("bob")
    (table.folder / "bob" / "identity").unlink()
    bob = table.sit("bob")
    alice.texts()
    table.types("alice", "/trust bob")
    assert alice.texts() == ["bob's new key is taken. Their safety number with you:", number(alice, bob)]
    bob.texts()
    table.types("alice", "hello")
    table.types("bob", "hello")
    assert (bob.texts(), alice.texts()) == (["room alice: hello"], ["room bob: hello"])


def test_trust_of_a_known_key_changes_nothing(table: Table) -> None:
    alice, _, _ = three(table)
    table.types("alice", "/verify bob same")
    table.types("alice", "/trust bob")
    assert alice.texts() == ["bob's key is verified", "bob's key is the one you know; /verify bob compares it"]
    assert alice.client.pins.known["bob"].verified


@pytest.mark.parametrize("whose", ["bob", "alice"])
@pytest.mark.parametrize("name", ["dave", "carol"])
def test_key_under_two_names_is_told_and_nothing_is_sent_to_it(table: Table, name: str, whose: str) -> None:
    alice, _, _ = three(table)
    told = table.gets("alice", joined(name, table.seats[whose].client.public_key))
    assert told[1:] == [f"{name} came with a key that is somebody else's. Nothing is sent to them."]
    table.types("alice", f"/to {name} hello")
    assert alice.boxes() == []


def test_another_key_in_our_own_name_is_told(table: Table) -> None:
    three(table)
    members = [Member(name="alice", address="10.13.37.21", udp_port=9, public_key=fresh())]
    assert table.gets("alice", Roster(members=members))[0] == (
        "The server shows the others another key in your name! Tell them."
    )


def test_key_of_small_order_gets_nothing(table: Table) -> None:
    alice, _, _ = three(table)
    table.gets("alice", joined("dave", bytes(32)))
    table.types("alice", "/to dave hello")
    assert (alice.boxes(), alice.texts()) == ([], ["Not sent to dave: their key is none."])
    spoken = Say(sender="dave", to="alice", nonce=bytes(24), ciphertext=bytes(64))
    assert "was not sealed" in table.gets("alice", spoken)[0]


# What a bad server or a stranger does with boxes.


def box(table: Table, line: str) -> Any:
    """Alice's box for Bob, which he has seen."""
    alice, bob, _ = three(table)
    table.types("alice", line)
    assert len(bob.texts()) == 1
    return alice.boxes()[0]


@pytest.mark.parametrize("line", ["hello", "/to bob hello", "/whisper bob hello"])
def test_message_that_comes_again_is_not_shown_not_even_after_a_restart(table: Table, line: str) -> None:
    message = box(table, line)
    assert table.gets("bob", message) == [OLD]
    table.goes("bob")
    table.sit("bob")
    assert table.gets("bob", message) == [OLD]
    table.goes("alice")
    table.sit("alice")
    assert table.gets("bob", message) == [OLD]


@pytest.mark.parametrize("line", ["hello", "/to bob hello", "/whisper bob hello"])
def test_message_that_is_sent_back_is_not_shown(table: Table, line: str) -> None:
    message = box(table, line)
    told = table.gets("alice", replace(message, sender="bob", to="alice"))
    assert told == [NOT_SEALED.replace("alice", "bob")]
    assert table.gets("alice", message) == ["Something came from alice, who is not here; it was dropped."]


def test_message_under_another_name_or_for_another_is_not_shown(table: Table) -> None:
    message = box(table, "hello")
    assert table.gets("bob", replace(message, sender="carol")) == [NOT_SEALED.replace("alice", "carol")]
    assert table.gets("bob", replace(message, to="carol")) == [NOT_SEALED]
    assert table.gets("carol", message) == [NOT_SEALED]


@pytest.mark.parametrize(
    ("line", "kind"), [("hello", Whisper), ("/to bob hello", Whisper), ("/whisper bob hello", Say)]
)
def test_message_of_one_kind_is_not_shown_as_another(table: Table, line: str, kind: Any) -> None:
    old = box(table, line)
    message = kind(sender=old.sender, to=old.to, nonce=old.nonce, ciphertext=old.ciphertext)
    assert table.gets("bob", message) == [NOT_SEALED]


def test_message_that_is_withheld_is_told_with_the_next(table: Table) -> None:
    _, bob, _ = three(table)
    table.types("alice", "one")
    table.withheld = {"bob"}
    table.types("alice", "two")
    table.types("alice", "three")
    table.withheld = set()
    table.types("alice", "four")
    table.types("alice", "five")
    assert bob.texts() == [
        "room alice: one",
        "Messages of alice's that are missing here: 2",
        "room alice: four",
        "room alice: five",
    ]


def test_what_was_for_others_is_not_missing(table: Table) -> None:
    _, bob, carol = three(table)
    for line in ("/to carol one", "/whisper carol two", "three", "/to bob four"):
        table.types("alice", line)
    assert bob.texts() == ["room alice: three", "direct alice: four"]
    assert len(carol.texts()) == 3


def test_forgeries_in_one_name_are_told_ever_more_rarely(table: Table) -> None:
    three(table)
    forged = Whisper(sender="alice", to="bob", nonce=bytes(24), ciphertext=bytes(64))
    assert sum(len(table.gets("bob", forged)) for _ in range(100)) == 7
    table.types("alice", "/whisper bob it is me")
    assert table.seats["bob"].texts() == ["whisper alice: it is me"]


# What the person types.


def test_verify_shows_the_number_and_notes_that_it_was_compared(table: Table) -> None:
    alice, bob, _ = three(table)
    table.types("alice", "/verify bob")
    assert alice.texts() == [
        number(alice, bob),
        "Read it to each other, not over this chat. The same? Then: /verify bob same",
    ]
    assert not alice.client.pins.known["bob"].verified
    table.types("alice", "/verify bob same")
    assert alice.texts() == ["bob's key is verified"]
    table.goes("alice")
    assert table.sit("alice").client.pins.known["bob"].verified


@pytest.mark.parametrize("line", ["/verify", "/verify dave", "/verify alice", "/trust", "/trust dave", "/trust alice"])
def test_command_about_nobody_says_how_it_goes(table: Table, line: str) -> None:
    alice, _, _ = three(table)
    table.types("alice", line)
    assert alice.texts() == [f"It goes: {line.split(maxsplit=1)[0]} NAME, of somebody who is here"]


def test_keys_and_numbers_are_a_row_each_of_80_columns(table: Table) -> None:
    alice, _, _ = three(table)
    table.types("alice", "/verify bob same")
    alice.texts()
    table.types("alice", "/keys")
    table.types("alice", "/verify carol")
    rows = alice.texts()
    assert [row.split(", ")[1] for row in rows[1:3]] == ["verified", "taken on trust"]
    assert rows[0].startswith("Your own key: ")
    assert rows[1].startswith("bob's key: ")
    assert all(len(wrap(f"* {row}", 80)) == 1 for row in rows)


# The other ways of pinning.


def test_verified_seals_and_shows_nothing_before_the_numbers_were_compared(tmp_path: Path) -> None:
    table = Table(tmp_path, VerifiedPins)
    alice, bob, _ = three(table)
    table.types("alice", "/verify carol same")
    alice.texts()
    table.types("alice", "hello")
    assert [one.to for one in alice.boxes()] == ["carol"]
    assert alice.texts() == ["Not sent to bob: you have not compared keys; type /verify bob"]
    table.types("bob", "/verify alice same")
    bob.texts()
    table.types("bob", "hello")
    assert alice.texts() == ["Something in bob's name was not shown: you have not compared keys; type /verify bob"]
    table.types("alice", "/verify bob same")
    alice.texts()
    table.types("bob", "again")
    # What came before the comparison was refused, not accepted: it is told as missing.
    assert alice.texts() == ["Messages of bob's that are missing here: 1", "room bob: again"]


def test_without_pins_a_changed_key_is_taken_in_silence(tmp_path: Path) -> None:
    table = Table(tmp_path, NoPins)
    alice, _, _ = three(table)
    assert table.gets("alice", joined("bob", fresh())) == ["bob joined, from 10.13.37.66"]
    table.types("alice", "/to bob hello")
    assert len(alice.boxes()) == 1
