"""Stage 5's boxes: what stands inside, what is refused, and safety numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from nacl.public import Box, PrivateKey

from common.errors import LabError
from common.limits import DATAGRAM_BYTES, LINE_BYTES, TEXT_BYTES
from common.wire import encode, encode_datagram
from stages.stage5_box.box import (
    ROOM,
    VERSION,
    Content,
    NoPadding,
    NotOpened,
    PeerBox,
    Say,
    Whisper,
    identity,
    open_from,
    safety_number,
    seal_for,
)
from stages.stage5_box.what_if.padding_buckets import BUCKETS, Buckets

ALICE, BOB, CAROL = (PrivateKey(bytes(range(first, first + 32))) for first in (0, 32, 64))
PLAIN = NoPadding()


def between(own: PrivateKey, peer: PrivateKey) -> PeerBox:
    """What `own` has for `peer`."""
    return PeerBox(own, bytes(peer.public_key))


def content(**changed: Any) -> Content:
    """What Alice says to Bob."""
    usual = Content(version=VERSION, kind="room", room=ROOM, sender="alice", to="bob", counter=(3, 7), text="Grüße")
    return replace(usual, **changed)


def sealed(**changed: Any) -> Say | Whisper:
    """Alice's box for Bob, on its way."""
    return seal_for(between(ALICE, BOB), PLAIN, content(**changed))


def refused(message: Say | Whisper, own: PrivateKey = BOB, peer: PrivateKey = ALICE) -> bool:
    """Does Bob refuse it as Alice's?"""
    try:
        open_from(between(own, peer), PLAIN, message)
    except NotOpened:
        return True
    return False


# What stands inside.


def test_content_is_written_out_in_full() -> None:
    expected = '{"version":1,"kind":"room","room":"lobby","from":"alice","to":"bob","counter":[3,7],"text":"Grüße"}'
    message = sealed()
    assert Box(BOB, ALICE.public_key).decrypt(message.ciphertext, message.nonce).decode() == expected


def test_box_is_nacls_with_this_nonce() -> None:
    nonce = bytes(range(100, 124))
    ciphertext = bytes.fromhex(
        "f11c1ba62b138c5ff88577a72b7220fb9ea11db1c67247c799d26d364f0bc8fe3f2e26b0d7ccbf33598a207b13e82db4ec2d"
        "59989a759c6658bc7e357d754e93659d5c2ba00ee94b4c31acfb93042b77a895b65dc7a377291da41d7a88ec176c75178d2d"
        "ce6cc3964ffbbff5fe2d1f19f87c4c66a4"
    )
    assert Box(ALICE, BOB.public_key).encrypt(msgspec.json.encode(content()), nonce).ciphertext == ciphertext
    message = Say(sender="alice", to="bob", nonce=nonce, ciphertext=ciphertext)
    assert open_from(between(BOB, ALICE), PLAIN, message) == content()


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_what_was_sealed_opens_again(kind: str) -> None:
    message = sealed(kind=kind)
    assert isinstance(message, Whisper if kind == "whisper" else Say)
    assert open_from(between(BOB, ALICE), PLAIN, message) == content(kind=kind)


def test_no_two_boxes_have_the_same_nonce() -> None:
    assert len({sealed().nonce for _ in range(100)}) == 100


# What is refused.

Change = Callable[[dict[str, Any]], dict[str, Any]]


def inside(**changed: Any) -> dict[str, Any]:
    """The content as a plain dictionary, where anything can be written; None takes a field away."""
    plain = json.loads(msgspec.json.encode(content())) | changed
    return {name: value for name, value in plain.items() if value is not None}


def sealed_raw(plain: bytes) -> Say:
    nonce, ciphertext = between(ALICE, BOB).seal(plain)
    return Say(sender="alice", to="bob", nonce=nonce, ciphertext=ciphertext)


def test_raw_content_is_taken_where_nothing_is_changed() -> None:
    assert not refused(sealed_raw(json.dumps(inside()).encode()))


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in ("version", "kind", "room", "from", "to", "counter", "text")),
        {"version": 2},
        {"version": 0},
        {"room": "other"},
        {"kind": "whisper"},
        {"kind": "shout"},
        {"from": "carol"},
        {"from": "bob"},
        {"to": "alice"},
        {"to": "carol"},
        {"counter": [1]},
        {"counter": [1, -1]},
        {"counter": [1, 2**53]},
        {"counter": [10**30, 0]},
        {"counter": [1, 0.5]},
        {"text": ""},
        {"text": 5},
        {"more": 1},
    ],
    ids=str,
)
def test_content_that_means_anything_else_is_refused(changed: dict[str, Any]) -> None:
    assert refused(sealed_raw(json.dumps(inside(**changed)).encode()))


@pytest.mark.parametrize("plain", [b"", b"null", b"[]", b"{", b"\xff", b"{}" * 2, b'{"counter":[1,' + b"9" * 5000])
def test_content_that_is_none_is_refused(plain: bytes) -> None:
    assert refused(sealed_raw(plain))


@given(st.data(), st.sampled_from(["room", "direct", "whisper"]))
def test_any_change_of_a_sealed_message_is_refused(data: st.DataObject, kind: str) -> None:
    message = sealed(kind=kind)
    field = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    old: bytes = getattr(message, field)
    at = data.draw(st.integers(0, len(old) - 1))
    new = data.draw(
        st.one_of(
            st.integers(1, 255).map(lambda bits: old[:at] + bytes([old[at] ^ bits]) + old[at + 1 :]),
            st.just(old[:at]),
            st.binary(min_size=1, max_size=40).map(lambda more: old + more),
            st.binary(max_size=200),
        )
    )
    assume(new != old)
    assert refused(replace(message, **{field: new}))


@pytest.mark.parametrize("label", [{"sender": "carol"}, {"sender": "bob"}, {"to": "carol"}, {"to": "alice"}])
def test_box_under_another_label_is_refused(label: dict[str, str]) -> None:
    assert refused(replace(sealed(), **label))


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_own_box_that_comes_back_is_refused(kind: str) -> None:
    message = sealed(kind=kind)
    assert refused(replace(message, sender="bob", to="alice"), ALICE, BOB)  # it opens, for Box has one key for both
    assert between(ALICE, BOB).open(message.nonce, message.ciphertext)


@pytest.mark.parametrize(("kind", "wire"), [("room", Whisper), ("direct", Whisper), ("whisper", Say)])
def test_box_of_another_kind_is_refused(kind: str, wire: type[Say] | type[Whisper]) -> None:
    message = sealed(kind=kind)
    assert refused(wire(sender="alice", to="bob", nonce=message.nonce, ciphertext=message.ciphertext))


def test_member_can_neither_open_nor_make_another_pairs_box() -> None:
    assert refused(sealed(), CAROL, ALICE)
    forged = seal_for(between(CAROL, BOB), PLAIN, content())
    assert refused(forged)


SMALL = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    *((2**255 - 19 + more).to_bytes(32, "little") for more in (-1, 0, 1)),
]
"""The X25519 keys of small order, with which every shared secret is zero."""


@pytest.mark.parametrize("key", SMALL, ids=lambda key: key.hex()[:8])
def test_key_of_small_order_is_refused(key: bytes) -> None:
    with pytest.raises(NotOpened):
        PeerBox(ALICE, key)


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(NotOpened):
        PeerBox(ALICE, key)


# How long it is.


@pytest.mark.parametrize("padding", [NoPadding(), Buckets()], ids=["off", "buckets"])
@pytest.mark.parametrize("letter", ["a", "\x01", '"', "é", "😀"])
def test_longest_text_fits_a_line_however_it_is_written(padding: NoPadding | Buckets, letter: str) -> None:
    text = letter * (TEXT_BYTES // len(letter.encode()))
    names = {"sender": "a" * 20, "to": "b" * 20, "counter": (2**53 - 1, 2**53 - 1)}
    message = seal_for(between(ALICE, BOB), padding, content(text=text, **names))
    assert len(encode(message)) <= LINE_BYTES
    assert open_from(between(BOB, ALICE), padding, message).text == text


def test_whisper_of_600_bytes_fits_a_datagram() -> None:
    message = sealed(kind="whisper", text="a" * 600, counter=(2**53 - 1, 2**53 - 1))
    assert len(encode_datagram(message)) <= DATAGRAM_BYTES


@given(st.binary(max_size=2000))
def test_padding_comes_off_again_and_leaves_one_of_five_lengths(text: bytes) -> None:
    padded = Buckets().pad(text)
    assert len(padded) in BUCKETS
    assert Buckets().unpad(padded) == text


def test_padding_without_its_mark_is_refused() -> None:
    with pytest.raises(NotOpened):
        Buckets().unpad(bytes(256))


# The identity.


def test_identity_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    made = identity(file)
    assert identity(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["identity"]


@pytest.mark.parametrize("damaged", [b"", b"one", b"ab" * 31, b"ab" * 33, b"\xff" * 32, b"zz" * 32])
def test_damaged_identity_is_one_sentence_and_stays(tmp_path: Path, damaged: bytes) -> None:
    file = tmp_path / "identity"
    file.write_bytes(damaged)
    file.chmod(0o600)
    with pytest.raises(LabError, match="is no key") as error:
        identity(file)
    assert "\n" not in str(error.value)
    assert file.read_bytes() == damaged


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_identity_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "identity"
    identity(file)
    file.chmod(mode)
    with pytest.raises(LabError, match="close it with: chmod 600"):
        identity(file)


# Safety numbers.

KEYS = (("alice", bytes(ALICE.public_key)), ("bob", bytes(BOB.public_key)))


def test_safety_number_is_this_one() -> None:
    assert safety_number(*KEYS) == "01304 28022 94314 68707 80995 87725 73964 51474 63502 22405 66814 83397"


def test_safety_number_is_the_same_on_both_sides_and_fits_a_row() -> None:
    number = safety_number(*KEYS)
    assert safety_number(*reversed(KEYS)) == number
    assert len(number.replace(" ", "")) >= 60
    assert len(f"* {number}") <= 80


@pytest.mark.parametrize("other", [("carol", KEYS[1][1]), ("bob", bytes(CAROL.public_key)), ("bob", KEYS[0][1])])
def test_safety_number_is_of_both_names_and_both_keys(other: tuple[str, bytes]) -> None:
    assert safety_number(KEYS[0], other) != safety_number(*KEYS)
    assert safety_number(("alice", KEYS[1][1]), ("bob", KEYS[0][1])) != safety_number(*KEYS)  # swapped
