"""Stage 3's room key: known answers for what is built of primitives, and whatever was changed is not opened."""

import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from common.limits import DATAGRAM_BYTES, TEXT_BYTES
from common.wire import WireError, decoder, encode, encode_datagram
from stages.stage3_symmetric.room_key import (
    AesGcm,
    Cipher,
    Ciphers,
    Counter,
    Grant,
    KeyGrant,
    KeyRequest,
    Kind,
    NotOpened,
    RoomKey,
    Say,
    Whisper,
    agree,
    canonical,
    derive,
    unwrap,
    wrap,
)
from stages.stage3_symmetric.what_if.cipher import WAYS, AesCtr, AesEcb, ChaCha, Off
from stages.stage3_symmetric.what_if.padding_buckets import BUCKETS, Buckets

KEY = bytes(range(32))
LABEL = "progressive-security-lab "


def hkdf(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 without salt, for one block, written out from RFC 5869."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def hexed(text: str) -> bytes:
    """Bytes from groups of hexadecimal digits."""
    return bytes.fromhex(text)


# What is bound, and under which labels.


def test_key_is_derived_under_a_label_with_its_purpose_and_version() -> None:
    assert derive(KEY, "test", "alice", 3) == hkdf(KEY, b'["progressive-security-lab test v1","alice",3]')


def test_hkdf_here_agrees_with_rfc_5869() -> None:
    secret = b"\x0b" * 22  # test case 3: no salt, no info
    assert hkdf(secret, b"") == hexed("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")


def test_known_answer_of_a_derived_key() -> None:
    assert (
        derive(KEY, "message", "lobby", "room", "alice").hex()
        == "3351439658856109169424afd9b3a193513968ee8b87c98e9d40b1d3dc5a4ba3"
    )


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_every_sender_and_kind_has_a_key_of_its_own(kind: Kind) -> None:
    sealed = RoomKey(KEY, Ciphers()).seal(kind, "alice", None, (0, 0), "hi")
    info = f'["{LABEL}message v1","lobby","{kind}","alice"]'.encode()
    assert AesGcm().open(hkdf(KEY, info), sealed.nonce, sealed.ciphertext, sealed.associated_data()) == b"hi"


@pytest.mark.parametrize(
    ("message", "bound"),
    [
        (("room", "alice", None, (3, 7)), b'[1,"room","lobby","alice","",3,7]'),
        (("direct", "alice", "bob", (3, 0)), b'[1,"direct","lobby","alice","bob",3,0]'),
        (("whisper", "bob", "alice", (2**53 - 1, 1)), b'[1,"whisper","lobby","bob","alice",9007199254740991,1]'),
    ],
)
def test_associated_data_is_canonical(message: tuple[Kind, str, str | None, Counter], bound: bytes) -> None:
    kind, sender, to, counter = message
    assert RoomKey(KEY, Ciphers()).seal(kind, sender, to, counter, "hi").associated_data() == bound


parts = st.lists(st.one_of(st.text(), st.integers(0, 2**53 - 1)))


@given(parts, parts)
def test_no_two_lists_are_bound_alike(one: list[str | int], other: list[str | int]) -> None:
    assume(one != other)
    assert canonical(*one) != canonical(*other)


def test_everything_that_is_bound_is_on_the_wire() -> None:
    sealed = RoomKey(KEY, Ciphers()).seal("room", "alice", None, (3, 7), "hi")
    fields = json.loads(encode(sealed))
    assert list(fields) == ["type", "version", "kind", "room", "from", "to", "counter", "nonce", "ciphertext"]
    assert (fields["version"], fields["room"], fields["to"], fields["counter"]) == (1, "lobby", None, [3, 7])
    assert "hi" not in fields.values()


# Vectors that others published.


def test_aes_256_gcm_opens_a_published_vector() -> None:
    """Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation"."""
    key = hexed("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
    text = hexed(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    ciphertext = hexed(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    )
    tag, bound = hexed("76fc6ece0f4e1768cddf8853bb2d551b"), hexed("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    assert AesGcm().open(key, hexed("cafebabefacedbaddecaf888"), ciphertext + tag, bound) == text


def test_chacha20_poly1305_opens_a_published_vector() -> None:
    """RFC 8439, section 2.8.2."""
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    ciphertext = hexed(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e06"
        "0b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d265"
        "86cec64b6116"
    )
    tag, bound = hexed("1ae10b594f09e26a7e902ecbd0600691"), hexed("50515253c0c1c2c3c4c5c6c7")
    assert ChaCha().open(bytes(range(0x80, 0xA0)), hexed("070000004041424344454647"), ciphertext + tag, bound) == text


NEWCOMER = X25519PrivateKey.from_private_bytes(
    hexed("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
)
HOLDER = X25519PrivateKey.from_private_bytes(hexed("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
"""The two pairs of RFC 7748, section 6.1."""
NEWCOMERS, HOLDERS = (pair.public_key().public_bytes_raw() for pair in (NEWCOMER, HOLDER))
AGREED = hexed("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


# The exchange.


def test_two_agree_on_the_published_secret_bound_to_keys_names_room_and_purpose() -> None:
    info = f'["{LABEL}room key v1","lobby","bob","alice","{NEWCOMERS.hex()}","{HOLDERS.hex()}"]'.encode()
    both = [
        agree(HOLDER, NEWCOMERS, NEWCOMERS, HOLDERS, "bob", "alice"),
        agree(NEWCOMER, HOLDERS, NEWCOMERS, HOLDERS, "bob", "alice"),
    ]
    assert both == [hkdf(AGREED, info)] * 2
    assert both[0].hex() == "75205a2efb751d7eab0434e5f87b60da6740845ee6a5a8332bf8e661e01a3cfc"


@pytest.mark.parametrize(
    "point",
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ],
)
def test_public_key_of_small_order_is_refused_on_both_sides(point: str) -> None:
    request = KeyRequest(sender="bob", to="alice", public_key=hexed(point))
    with pytest.raises(NotOpened):
        wrap(GRANT, "bob", "alice", request)
    answer = KeyGrant(sender="alice", to="bob", public_key=hexed(point), nonce=bytes(12), ciphertext=bytes(64))
    with pytest.raises(NotOpened):
        unwrap(NEWCOMER, answer)


GRANT = Grant(key=KEY, counters={"alice room": (3, 7)})


def wrapped(grant: Grant = GRANT) -> KeyGrant:
    """Alice's answer to Bob."""
    return wrap(grant, "bob", "alice", KeyRequest(sender="bob", to="alice", public_key=NEWCOMERS))


def test_newcomer_unwraps_what_the_holder_wrapped() -> None:
    assert unwrap(NEWCOMER, wrapped()) == GRANT


def test_known_answer_is_unwrapped() -> None:
    answer = KeyGrant(
        sender="alice",
        to="bob",
        public_key=HOLDERS,
        nonce=bytes(12),
        ciphertext=hexed(
            "db8fae8dc614b159f8c4f1b82b9c856cee191721c0ef8801bd65119e66f68d2fb98093ca1e1b86e06693561e9c3242a5ec00"
            "8defff933c3331e21ddeb7e889cf5286c6c05bfaa3a67b07faaa4e66d79a8bbb19d6c18c04e467b975c0dbc68686bb8554bc16c0"
        ),
    )
    assert unwrap(NEWCOMER, answer) == GRANT


def test_every_answer_has_a_fresh_pair_and_another_ciphertext() -> None:
    answers = [wrapped() for _ in range(20)]
    assert len({answer.public_key for answer in answers}) == len({answer.ciphertext for answer in answers}) == 20


def test_room_key_is_not_readable_in_the_answer() -> None:
    line = encode(wrapped())
    assert not any(form in line for form in (KEY, KEY.hex().encode(), b"AAECAwQF"))


@given(st.data())
def test_answer_with_anything_changed_is_not_unwrapped(data: st.DataObject) -> None:
    answer = wrapped()
    other = data.draw(changed(answer))
    with pytest.raises(NotOpened):
        unwrap(NEWCOMER, other)


def test_answer_for_somebody_else_is_not_unwrapped() -> None:
    with pytest.raises(NotOpened):
        unwrap(X25519PrivateKey.generate(), wrapped())


@pytest.mark.parametrize("inside", [b"", b"{}", b'{"key":"AAA="}', b'{"key":"AAECAwQF","counters":{}}', b"\xff"])
def test_answer_with_something_else_inside_is_not_unwrapped(inside: bytes) -> None:
    key = agree(HOLDER, NEWCOMERS, NEWCOMERS, HOLDERS, "bob", "alice")
    nonce, ciphertext = AesGcm().seal(key, inside, b"")
    with pytest.raises(NotOpened):
        unwrap(NEWCOMER, KeyGrant(sender="alice", to="bob", public_key=HOLDERS, nonce=nonce, ciphertext=ciphertext))


def test_answer_with_as_many_counters_as_are_told_fits_a_line() -> None:
    counters: dict[str, Counter] = {f"{number:020} whisper": (2**53 - 1, 2**53 - 1) for number in range(512)}
    line = encode(wrapped(Grant(key=KEY, counters=counters)))
    assert decoder(KeyGrant).decode(line)
    assert len(line) < 64 * 1024


# Sealed messages.


def flipped(data: bytes) -> st.SearchStrategy[bytes]:
    """The same bytes with one bit flipped, or cut, or longer."""
    bits = st.integers(0, len(data) * 8 - 1)
    other = bits.map(lambda bit: (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big"))
    return st.one_of(other, st.just(data[:-1]), st.just(b""), st.binary(min_size=1, max_size=8).map(data.__add__))


NAMES = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)
COUNTS = st.integers(0, 2**53 - 1)
VALUES: dict[str, Any] = {
    "kind": lambda _: st.sampled_from(["room", "direct", "whisper"]),
    "sender": lambda _: NAMES,
    "to": lambda _: st.one_of(st.none(), NAMES),
    "counter": lambda _: st.tuples(COUNTS, COUNTS),
    "nonce": flipped,
    "ciphertext": flipped,
    "public_key": lambda _: st.binary(min_size=32, max_size=32),
}
"""What each field of a message may be changed into. `version` and `room` have one value, and the decoder sees to it."""


@st.composite
def changed(draw: st.DrawFn, message: Any) -> Any:
    """The same message with one field changed."""
    field = draw(st.sampled_from([name for name in message.__struct_fields__ if name in VALUES]))
    before = getattr(message, field)
    value = draw(VALUES[field](before).filter(lambda value: value != before))
    return msgspec.structs.replace(message, **{field: value})


SEALED = [("room", None), ("direct", "bob"), ("whisper", "bob")]


@pytest.mark.parametrize("cipher", [AesGcm(), ChaCha()], ids=["aes-256-gcm", "chacha20-poly1305"])
@pytest.mark.parametrize(("kind", "to"), SEALED)
@given(st.data())
def test_message_with_anything_changed_is_not_opened(
    cipher: Cipher, kind: Kind, to: str | None, data: st.DataObject
) -> None:
    room_key = RoomKey(KEY, Ciphers(cipher))
    sealed = room_key.seal(kind, "alice", to, (3, 7), "send 100 to Bob")
    with pytest.raises(NotOpened):
        room_key.open(data.draw(changed(sealed)))


def test_message_under_another_room_key_is_not_opened() -> None:
    sealed = RoomKey.fresh(Ciphers()).seal("room", "alice", None, (0, 0), "hi")
    with pytest.raises(NotOpened):
        RoomKey.fresh(Ciphers()).open(sealed)


@pytest.mark.parametrize(("kind", "to"), SEALED)
def test_known_message_is_opened(kind: Kind, to: str | None) -> None:
    known = {
        "room": "23764f4bb8a32dcbd57cfa97e6c344607d3a16fe58e5400e288146",
        "direct": "a77f866f20c6529df6beda358279bbcc23283972cf8c4cbdcbfb8f4ed9",
        "whisper": "a899a133dab05ae50f17a80b6dc8332ce6b913c6d60dcb5d556aefef8150",
    }
    make = Whisper if kind == "whisper" else Say
    sealed = make(kind=kind, sender="alice", to=to, counter=(3, 7), nonce=bytes(12), ciphertext=hexed(known[kind]))
    assert RoomKey(KEY, Ciphers()).open(sealed) == f"hello, {kind}"


WAY = {"aes-256-gcm": AesGcm(), **WAYS}


@pytest.mark.parametrize("cipher", WAY)
@pytest.mark.parametrize("padding", ["off", "buckets"])
@given(text=st.text(min_size=1).filter(lambda text: len(text.encode()) <= TEXT_BYTES))
def test_every_cipher_and_padding_opens_what_it_sealed(cipher: str, padding: str, text: str) -> None:
    room_key = RoomKey(KEY, Ciphers(WAY[cipher], Buckets()) if padding == "buckets" else Ciphers(WAY[cipher]))
    for kind, to in SEALED:
        sealed = room_key.seal(kind, "alice", to, (3, 7), text)  # type: ignore[arg-type]
        assert room_key.open(sealed) == text


@pytest.mark.parametrize("cipher", WAY)
@given(nonce=st.binary(max_size=16), ciphertext=st.binary(max_size=80))
def test_any_bytes_at_all_are_opened_or_not_opened(cipher: str, nonce: bytes, ciphertext: bytes) -> None:
    sealed = Say(kind="room", sender="alice", counter=(0, 0), nonce=nonce, ciphertext=ciphertext)
    for ciphers in (Ciphers(WAY[cipher]), Ciphers(WAY[cipher], Buckets())):
        try:
            assert RoomKey(KEY, ciphers).open(sealed)
        except NotOpened:
            continue


@pytest.mark.parametrize("cipher", WAY)
@pytest.mark.parametrize("text", [b"", b"x" * (TEXT_BYTES + 1), b"\xff"], ids=["empty", "too long", "not UTF-8"])
def test_what_is_no_text_is_not_shown_whoever_sealed_it(cipher: str, text: bytes) -> None:
    room_key = RoomKey(KEY, Ciphers(WAY[cipher]))
    blank = Say(kind="room", sender="alice", counter=(0, 0), nonce=b"", ciphertext=b"")
    nonce, ciphertext = WAY[cipher].seal(room_key._message_key(blank), text, blank.associated_data())
    with pytest.raises(NotOpened):
        room_key.open(msgspec.structs.replace(blank, nonce=nonce, ciphertext=ciphertext))


@pytest.mark.parametrize("cipher", WAY)
@pytest.mark.parametrize("padding", [Ciphers().padding, Buckets()])
def test_longest_text_is_within_the_bounds_of_the_wire(cipher: str, padding: Any) -> None:
    sealed = RoomKey(KEY, Ciphers(WAY[cipher], padding)).seal("room", "alice", None, (0, 0), "x" * TEXT_BYTES)
    assert decoder(Say).decode(encode(sealed)) == sealed


# What the weak ways give away: why they are weak.


def test_ecb_gives_equal_texts_away_and_the_others_do_not() -> None:
    def repeats(cipher: Cipher) -> bool:
        first, second = (cipher.seal(KEY, b"come at nine", b"") for _ in range(2))
        return first == second

    assert {name: repeats(cipher) for name, cipher in WAY.items()} == {
        "aes-256-gcm": False,
        "chacha20-poly1305": False,
        "aes-256-ctr": False,
        "aes-256-ecb": True,
        "off": True,
    }


def test_ctr_lets_a_bit_be_flipped_and_what_is_bound_be_changed() -> None:
    nonce, ciphertext = AesCtr().seal(KEY, b"pay 100", b"from alice")
    forged = bytes([*ciphertext[:4], ciphertext[4] ^ ord("1") ^ ord("9"), *ciphertext[5:]])
    assert AesCtr().open(KEY, nonce, forged, b"from carol") == b"pay 900"


def test_ecb_lets_blocks_be_moved() -> None:
    nonce, ciphertext = AesEcb().seal(KEY, b"A" * 16 + b"B" * 16 + b"C", b"")
    assert AesEcb().open(KEY, nonce, ciphertext[16:32] + ciphertext[:16] + ciphertext[32:], b"") == (
        b"B" * 16 + b"A" * 16 + b"C"
    )


def test_off_is_the_text_itself() -> None:
    assert Off().seal(KEY, b"hi", b"") == (b"", b"hi")


# Padding.


@pytest.mark.parametrize(
    ("size", "padded"),
    [(1, 64), (63, 64), (64, 256), (255, 256), (256, 1024), (1023, 1024), (1024, 4097), (4096, 4097)],
)
def test_padding_fills_up_to_the_bucket(size: int, padded: int) -> None:
    assert padded in BUCKETS
    assert len(Buckets().pad(b"x" * size)) == padded


@given(st.binary(min_size=1, max_size=TEXT_BYTES))
def test_padding_is_taken_off_again_whatever_the_text_ends_with(text: bytes) -> None:
    for whole in (text, text + b"\x80", text + b"\0", text + b"\x80\0\0"):
        if len(whole) <= TEXT_BYTES:
            assert Buckets().unpad(Buckets().pad(whole)) == whole


@pytest.mark.parametrize("padded", [b"", b"\0" * 64, b"x" * 64])
def test_padding_without_its_mark_is_not_opened(padded: bytes) -> None:
    with pytest.raises(NotOpened):
        Buckets().unpad(padded)


def test_yes_and_no_never_are_equally_long_with_padding_and_not_without() -> None:
    def lengths(ciphers: Ciphers) -> list[int]:
        texts = ("yes", "no, never")
        return [len(RoomKey(KEY, ciphers).seal("room", "alice", None, (0, 0), text).ciphertext) for text in texts]

    plain, padded = lengths(Ciphers()), lengths(Ciphers(padding=Buckets()))
    assert plain[0] != plain[1]
    assert padded[0] == padded[1]


def test_whisper_of_two_hundred_fifty_five_bytes_fits_its_datagram_with_padding() -> None:
    name = "x" * 20
    sealed = RoomKey(KEY, Ciphers(padding=Buckets())).seal("whisper", name, name, (2**53 - 1, 2**53 - 1), "x" * 255)
    assert len(encode_datagram(sealed)) <= DATAGRAM_BYTES


# Bad input: what the decoder refuses before any cryptography is done.

SAY: dict[str, Any] = {"type": "say", "kind": "room", "from": "a", "counter": [0, 0], "nonce": "", "ciphertext": ""}
REQUEST: dict[str, Any] = {"type": "key-request", "from": "a", "to": "b", "public_key": "A" * 43 + "="}
ANSWER: dict[str, Any] = {**REQUEST, "type": "key-grant", "nonce": "", "ciphertext": ""}
LONG = "A" * 4 * ((TEXT_BYTES + 36) // 3)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        *((SAY, {"version": version}) for version in (0, 2, "1", None)),
        *((SAY, {"room": room}) for room in ("attic", "", None)),
        *((SAY, {"kind": kind}) for kind in ("notice", "", None, 1)),
        *((SAY, {"from": name}) for name in ("Alice", "", None)),
        *((SAY, {"to": name}) for name in ("Alice", "")),
        *((SAY, {"counter": c}) for c in ([0], [0, 0, 0], [-1, 0], [0, 2**53], [0, 10**30], [0.5, 0], ["0", 0], None)),
        *((SAY, {"nonce": nonce}) for nonce in ("A", "A" * 24, "*" * 16, None, 5)),
        *((SAY, {"ciphertext": text}) for text in ("A", LONG, "ü", None)),
        *((SAY, {"text": text}) for text in ("hello",)),
        *((REQUEST, {"public_key": key}) for key in ("", "A" * 40, "A" * 44, "A" * 1000, None)),
        *((REQUEST, {"to": name}) for name in (None, "Bob")),
        *((ANSWER, {"public_key": key}) for key in ("", "A" * 40, "A" * 44, None)),
        *((ANSWER, {"nonce": nonce}) for nonce in ("A" * 24, None)),
        *((ANSWER, {"key": key}) for key in ("A" * 44,)),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_field_that_is_not_right_is_refused(good: dict[str, Any], bad: dict[str, Any]) -> None:
    messages = decoder(Say | KeyRequest | KeyGrant)
    assert messages.decode(json.dumps(good).encode())
    with pytest.raises(WireError) as error:
        messages.decode(json.dumps({**good, **bad}).encode())
    assert error.value.code == "bad-field"


@pytest.mark.parametrize("good", [SAY, REQUEST, ANSWER], ids=lambda value: str(value["type"]))
def test_field_that_is_missing_is_refused(good: dict[str, Any]) -> None:
    for name in good.keys() - {"type"}:
        with pytest.raises(WireError):
            decoder(Say | KeyRequest | KeyGrant).decode(
                json.dumps({k: v for k, v in good.items() if k != name}).encode()
            )
