"""The probes of stage 3: the room key, against the reference."""

import os
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.limits import TEXT_BYTES
from lab.exercise.probes import Asking, probe
from stages.stage3_symmetric.room_key import (
    NONCE_BYTES,
    AesGcm,
    Ciphers,
    Grant,
    KeyGrant,
    KeyRequest,
    Kind,
    NotOpened,
    RoomKey,
    Say,
    Whisper,
    unwrap,
    wrap,
)

TEXT: Final = "Meet me at the old mill – at nine."
SMALL_ORDER: Final = (bytes(32), b"\x01" + bytes(31), bytes.fromhex("ecff" + "ff" * 29 + "7f"))
"""Public keys with which the shared secret is all zero, whatever the other key is (RFC 7748, section 6.1)."""


def plain(message: Any) -> Any:
    """A message as it is on the wire."""
    return msgspec.to_builtins(message)


async def sealed(at: Asking, key: bytes, kind: str = "room", sender: str = "alice", n: int = 0) -> Say | Whisper:
    """What the learner seals."""
    to = None if kind == "room" else "bob"
    return msgspec.convert(await at.call("room_key_seal", key.hex(), kind, sender, to, [1, n], TEXT), Say | Whisper)


@probe
async def reference_opens(at: Asking) -> str:
    """What the learner seals, the reference opens."""
    key = os.urandom(32)
    for kind, sender in (("room", "alice"), ("direct", "alice"), ("whisper", "bob")):
        try:
            text = RoomKey(key, Ciphers()).open(await sealed(at, key, kind, sender))
        except NotOpened:
            return (
                f"What RoomKey.seal made of a {kind} message of {sender}'s does not open with the reference: another "
                "key, nonce or associated data, or not AES-256-GCM."
            )
        if text != TEXT:
            return f"What RoomKey.seal made opens as “{text[:60]}”, and “{TEXT}” was sealed."
    return ""


@probe
async def opens_reference(at: Asking) -> str:
    """What the reference seals, the learner opens."""
    key = os.urandom(32)
    cases: tuple[tuple[Kind, str, str | None], ...]
    cases = (("room", "alice", None), ("direct", "bob", "alice"), ("whisper", "bob", "carol"))
    for kind, sender, to in cases:
        message = RoomKey(key, Ciphers()).seal(kind, sender, to, (4, 2), TEXT)
        returned = await at.returned("room_key_open", key.hex(), plain(message))
        if returned.raised:
            return f"RoomKey.open raises {returned.raised} for a {kind} message that the reference sealed."
        if returned.value != TEXT:
            return f"RoomKey.open gives “{str(returned.value)[:60]}”, and the reference sealed “{TEXT}”."
    return ""


@probe
async def nonces_are_fresh(at: Asking) -> str:
    """No two messages under one key have one nonce; two programs under one key do not agree on one either."""
    key = os.urandom(32)
    nonces = [(await sealed(at, key, n=n)).nonce for n in range(20)]
    at.close()
    nonces += [(await sealed(at, key, n=n)).nonce for n in range(20)]  # as after a restart
    if len(set(nonces)) < len(nonces):
        return (
            f"{len(nonces)} messages were sealed under one key; the number of different nonces is {len(set(nonces))}: "
            f"{max(nonces, key=nonces.count).hex()} was used {max(map(nonces.count, nonces))} times."
        )
    if any(len(nonce) != NONCE_BYTES for nonce in nonces):
        return f"A nonce has {len(nonces[0])} bytes; for AES-GCM it has {NONCE_BYTES}."
    return ""


@probe
async def changed_ciphertext(at: Asking) -> str:
    """A ciphertext of which a bit is changed, or that is cut, does not open."""
    key = os.urandom(32)
    message = await sealed(at, key)
    if await at.call("room_key_open", key.hex(), plain(message)) != TEXT:
        return "RoomKey.open does not give back what RoomKey.seal was given."
    data = message.ciphertext
    changed = {
        "the first byte": bytes([data[0] ^ 1]) + data[1:],
        "the last byte (the tag)": data[:-1] + bytes([data[-1] ^ 1]),
        "the length (the tag cut off)": data[:-16],
    }
    for what, ciphertext in changed.items():
        returned = await at.returned(
            "room_key_open", key.hex(), plain(msgspec.structs.replace(message, ciphertext=ciphertext))
        )
        if returned.raised != "NotOpened":
            return f"A ciphertext with a change in {what} was opened, as “{str(returned.value)[:60]}”."
    return ""


@dataclass(frozen=True)
class _Sealing:
    """In the place of padding: whatever the text was, these bytes are sealed."""

    data: bytes

    def pad(self, text: bytes) -> bytes:
        return self.data

    def unpad(self, padded: bytes) -> bytes:
        return padded


@probe
async def no_texts(at: Asking) -> str:
    """What a holder of the key sealed, and is no text, does not open, and stops nobody's client."""
    key = os.urandom(32)
    for what, data in {"empty": b"", "too long": b"x" * (TEXT_BYTES + 1), "not UTF-8": b"\xff\xfe"}.items():
        message = RoomKey(key, Ciphers(AesGcm(), _Sealing(data))).seal("room", "alice", None, (4, 2), TEXT)
        returned = await at.returned("room_key_open", key.hex(), plain(message))
        if returned.raised != "NotOpened":
            return f"What is {what} was opened: a member who seals it reaches Bob's client with it."
    return ""


@probe
async def bound_fields(at: Asking) -> str:
    """What stands beside the ciphertext cannot be changed either."""
    key = os.urandom(32)
    message = await sealed(at, key, "direct", n=7)  # both sides may leave it out, and agree
    if await at.call("room_key_open", key.hex(), plain(message)) != TEXT:
        return "RoomKey.open does not give back what RoomKey.seal was given."
    for field, value in {"to": "carol", "counter": (1, 8), "kind": "room", "sender": "bob"}.items():
        changed = msgspec.structs.replace(message, **{field: value})
        if not await at.refused("room_key_open", key.hex(), plain(changed)):
            return f"A message of which `{field}` was changed to {value!r} was opened all the same."
    return ""


@probe
async def key_for_each_sender(at: Asking) -> str:
    """Senders and kinds have keys of their own: what is sealed under the room key itself, or another's, is seen."""
    key = os.urandom(32)
    for kind, sender in (("room", "alice"), ("room", "bob"), ("whisper", "alice")):
        message = await sealed(at, key, kind, sender)
        try:
            RoomKey(key, Ciphers()).open(message)
        except NotOpened:
            used = _key_used(key, message)
            return f"A {kind} message of {sender}'s is not sealed under the key of this sender and kind{used}."
    return ""


def _key_used(key: bytes, message: Say | Whisper) -> str:
    """Which other key it was sealed under, where that is one that students take."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        AESGCM(key).decrypt(message.nonce, message.ciphertext, message.associated_data())
    except (InvalidTag, ValueError):
        return ""
    return ", but under the room key itself: all senders share their nonces"


@probe
async def fresh_room_key(at: Asking) -> str:
    """A new room key is 32 bytes that nobody could foresee."""
    keys = [await at.call("room_key_fresh") for _ in range(3)]
    if any(not isinstance(key, str) or len(key) != 64 for key in keys):
        return f"RoomKey.fresh made a key of {len(str(keys[0])) // 2} bytes; it has 32."
    if len(set(keys)) < len(keys):
        return "RoomKey.fresh made the same key twice."
    return ""


def _request() -> tuple[X25519PrivateKey, KeyRequest]:
    own = X25519PrivateKey.generate()
    return own, KeyRequest(sender="bob", to="alice", public_key=own.public_key().public_bytes_raw())


@probe
async def wrapped_key(at: Asking) -> str:
    """The learner wraps a room key that the reference takes out, and it is nowhere to be read."""
    own, request = _request()
    grant = Grant(key=os.urandom(32), counters={"alice room": (1, 3)})
    value = await at.call("room_key_wrap", plain(grant), "bob", "alice", plain(request))
    answer = msgspec.convert(value, KeyGrant)
    if grant.key in answer.ciphertext or msgspec.json.encode(grant.key)[1:-1] in answer.ciphertext:
        return "The room key stands in the clear in the `key-grant`: whoever listens has it."
    try:
        taken = unwrap(own, answer)
    except NotOpened:
        return (
            "The reference cannot take the room key out of what wrap made. Both public keys, both names and the room "
            "must go into HKDF, in the order of agree()."
        )
    return "" if taken == grant else "What the reference takes out is not the room key that was wrapped."


@probe
async def unwrapped_key(at: Asking) -> str:
    """The learner takes out a room key that the reference wrapped."""
    own, request = _request()
    grant = Grant(key=os.urandom(32), counters={"alice room": (1, 3)})
    answer = wrap(grant, "bob", "alice", request)
    returned = await at.returned("room_key_unwrap", own.private_bytes_raw().hex(), plain(answer))
    if returned.raised:
        return f"unwrap raises {returned.raised} for a room key that the reference wrapped."
    if msgspec.convert(returned.value, Grant) != grant:
        return "What unwrap took out is not the room key that was wrapped."
    return ""


@probe
async def names_are_bound(at: Asking) -> str:
    """A grant is for one newcomer from one holder: with another name on it, it does not open."""
    own, request = _request()
    private = own.private_bytes_raw().hex()
    grant = Grant(key=os.urandom(32), counters={})
    # what the learner wrapped, since both of their sides may leave the names out
    answer = await at.call("room_key_wrap", plain(grant), "bob", "alice", plain(request))
    for field, name in (("from", "carol"), ("to", "dave")):
        if not await at.refused("room_key_unwrap", private, {**answer, field: name}):
            return f"A grant that Alice wrapped for Bob opened as one with “{field}”: “{name}” on it."
    return ""


@probe
async def small_order_refused(at: Asking) -> str:
    """With a key of small order the shared secret is all zero, known to everyone."""
    grant = Grant(key=os.urandom(32), counters={})
    for public in SMALL_ORDER:
        request = KeyRequest(sender="bob", to="alice", public_key=public)
        returned = await at.returned("room_key_wrap", plain(grant), "bob", "alice", plain(request))
        if returned.raised != "NotOpened":
            return f"A newcomer whose public key is {public.hex()[:8]}… got the room key: everyone can unwrap that."
    return ""
