"""Guessing a passphrase offline: what is taken from a recording, what is not, and what a guess costs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import attacks
from attacks import Claim, Foothold, Loot
from attacks.guesses import common_passwords
from attacks.passphrase_guessing import Run, costs, guess, sealed_in
from common.levers import Levers
from common.messages import Left
from common.wire import encode_datagram
from stages import find

WORDS = ["123456", "dragon", "green eggs", "never tried: it is open"]
SAID = ["Good morning!", "The door code is 1234.", "So long."]

each_stage = pytest.mark.parametrize("number", [3, 4])


def recorded(number: int, passphrase: str, levers: str = "") -> list[bytes]:
    """What a server passes on of three messages of Alice's, sealed with a key that was made from these words."""
    stage = find(number)
    compose, room_key = stage._module("compose"), stage._module("room_key")
    key = stage._module("what_if.key_exchange_passphrase").room_key_from(passphrase)
    sealer = room_key.RoomKey(key, compose.ciphers_for(Levers.parse(levers, stage.levers)))
    return [encode_datagram(sealer.seal("room", "alice", None, (1, n), text)) for n, text in enumerate(SAID)]


def attacked(number: int, relayed: Sequence[bytes]) -> tuple[Claim, list[str]]:
    """What the attack claims of this record, and what it notes."""
    notes: list[str] = []

    class Stolen:
        """The foothold of a thief, when everybody has gone."""

        stage = find(number)
        loot = Loot(Path(), list(relayed), {})

        async def until(self, moment: str) -> None:
            assert moment == "over"

        def note(self, text: str) -> None:
            notes.append(text)

    attack = attacks.find("passphrase_guessing")
    return asyncio.run(attack.run(cast("Foothold", Stolen()), attack.goals[0])), notes


@each_stage
@pytest.mark.parametrize("cipher", ["aes-256-gcm", "chacha20-poly1305", "aes-256-ctr", "aes-256-ecb"])
@pytest.mark.parametrize("padding", ["off", "buckets"])
def test_only_the_right_words_open_whatever_the_cipher(number: int, cipher: str, padding: str) -> None:
    stage = find(number)
    sealed = sealed_in(stage, recorded(number, "green eggs", f"cipher={cipher} padding={padding}"))
    run = guess(stage, sealed[0], WORDS)
    assert (run.guesses, run.passphrase) == (3, "green eggs")
    none = guess(stage, sealed[0], WORDS[:2])
    assert (none.guesses, none.passphrase, none.key) == (2, "", None)


@each_stage
def test_one_message_is_guessed_at_and_all_of_them_are_read(number: int) -> None:
    word = common_passwords()[99]
    claim, notes = attacked(number, recorded(number, word))
    assert claim.read == SAID
    assert claim.did.startswith("found the passphrase after 100 guesses, ")
    assert claim.did.endswith(" a second, and opened 3 of 3 recorded messages")
    assert notes[0] == f"the passphrase: {word}, after 100 guesses on one recorded message"


@each_stage
def test_where_nothing_is_sealed_no_passphrase_is_said_to_be_found(number: int) -> None:
    claim, notes = attacked(number, recorded(number, "green eggs", "cipher=off"))
    assert (claim, notes) == (Claim(read=SAID, did="read the record, which any key opens"), [])


@each_stage
def test_passphrase_that_nobody_chooses_is_not_found(number: int) -> None:
    claim, notes = attacked(number, recorded(number, "fm7 Xq-0 tilbury oarlock"))
    assert claim == Claim(did="tried 30000 passphrases on one recorded message, and none opened it")
    assert notes[0] == "no word of the list opens it, after 30,000 guesses on one recorded message"


@pytest.mark.parametrize(
    "foreign",
    [
        [],
        [b"", b"\x00\xff", b"{", b"[]", b"null", b'{"type":"say"}', b'{"type":"say","from":"alice","text":"hello"}'],
        [encode_datagram(Left(name="bob"))],
        [b'{"type":"key-request","from":"bob","to":"alice","public_key":"' + b"A" * 43 + b'="}'],
    ],
    ids=["empty", "damaged", "nothing sealed", "an exchange"],
)
@each_stage
def test_record_without_a_sealed_message_is_no_error(number: int, foreign: list[bytes]) -> None:
    assert attacked(number, foreign) == (Claim(did="found no sealed message in the record"), [])


@each_stage
def test_what_is_cut_damaged_or_of_others_is_passed_over(number: int) -> None:
    word = common_passwords()[9]
    first, second, third = recorded(number, word)
    damaged = dict(msgspec.json.decode(second)) | {"counter": [1, 7]}
    others = recorded(number, "another room's")[0]
    record = [b"{", first[:-9], first, msgspec.json.encode(damaged), others, b"\xff" * 9, third]
    claim, _ = attacked(number, record)
    assert claim.read == [SAID[0], SAID[2]]
    assert claim.did.endswith("opened 2 of 4 recorded messages")


def test_room_key_that_nobody_could_choose_is_opened_by_no_guess() -> None:
    stage = find(3)
    room_key = stage._module("room_key")
    sealed: Any = room_key.RoomKey.fresh(room_key.Ciphers()).seal("room", "alice", None, (1, 0), SAID[0])
    assert guess(stage, sealed, WORDS).key is None


def test_costs_say_how_fast_and_what_the_missing_salt_means() -> None:
    found, rate, salt = costs(Run(5_000, 0.25, "dragon", b"k" * 32), size=30_000)
    assert found == "the passphrase: dragon, after 5,000 guesses on one recorded message"
    assert rate == "one fast hash: 20,000 guesses a second, the whole list of 30,000 in 1.5 s"
    assert salt.startswith("without a salt: ")
