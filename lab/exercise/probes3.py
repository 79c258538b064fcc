"""The probes of stage 3: messages under the room key, against the reference. How it travels: probes3_grants."""

import os
import secrets
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from common.limits import TEXT_BYTES
from lab.exercise import sealed_how
from lab.exercise.probes import Asking, Elsewhere, probe
from stages.stage3_symmetric.room_key import (
    KEY_BYTES,
    NONCE_BYTES,
    ROOM,
    VERSION,
    AesGcm,
    Ciphers,
    Kind,
    NotOpened,
    RoomKey,
    Say,
    Whisper,
    canonical,
    derive,
)

TEXT: Final = "Meet me at the old mill – at nine."


def plain(message: Any) -> Any:
    """A message as it is on the wire."""
    return msgspec.to_builtins(message)


async def sealed(
    at: Asking, key: bytes, kind: str = "room", sender: str = "alice", session: int = 1, n: int = 0
) -> Say | Whisper:
    """What the learner seals."""
    to = None if kind == "room" else "bob"
    made = await at.call("room_key_seal", key.hex(), kind, sender, to, [session, n], TEXT)
    return msgspec.convert(made, Say | Whisper)


async def opens_again(at: Asking, key: bytes, message: Say | Whisper) -> str:
    """What is wrong where the learner's own `open` does not give back what their `seal` made; nothing where it does.

    Raises Elsewhere where that is what another requirement is about.
    """
    returned = await at.returned("room_key_open", key.hex(), plain(message))
    if returned.value == TEXT:
        return ""
    if not returned.raised:
        return f"RoomKey.open makes “{str(returned.value)[:60]}” of what RoomKey.seal made of “{TEXT}”."
    how = sealed_how.message(key, message)
    if how is None:
        return "RoomKey.open refuses what RoomKey.seal made: the two do not agree on a key, a nonce or associated data."
    why = (
        f"it was sealed {how}." if str(how) else "and the reference opens it, so look at RoomKey.open and AesGcm.open."
    )
    blamed = "key-per-sender" if how.key else "data-bound" if how.data else "agrees"
    raise Elsewhere(blamed, f"RoomKey.open refuses what RoomKey.seal made: {why}")


@probe
async def canonical_agrees(at: Asking) -> str:
    """The same bytes for the same list of parts, as in every other program."""
    name = f"user-{secrets.token_hex(2)}"
    for parts in ((name, "bob"), (f"{name},bob",), (name, "", 7)):
        made = bytes.fromhex(str(await at.call("room_key_canonical", list(parts))))
        if made != canonical(*parts):
            given = ", ".join(map(repr, parts))
            return (
                f"canonical({given}) is {made.decode(errors='replace')[:80]!r}, and not {canonical(*parts).decode()!r}."
            )
    return ""


@probe
async def derive_agrees(at: Asking) -> str:
    """The same key from the same secret, purpose and binding."""
    secret, binding = os.urandom(32), [ROOM, f"user-{secrets.token_hex(2)}"]
    for purpose, bound in (("message", binding), ("room key", binding), ("message", [])):
        made = await at.call("room_key_derive", secret.hex(), purpose, bound)
        if made != derive(secret, purpose, *bound).hex():
            return (
                f"derive(secret, {purpose!r}, {', '.join(map(repr, bound)) or '…nothing more'}) gives another key than "
                f"the reference's: HKDF with SHA-256, no salt, {KEY_BYTES} bytes, and info = canonical("
                f'"progressive-security-lab {purpose} v{VERSION}", *binding).'
            )
    return ""


@probe
async def reference_opens(at: Asking) -> str:
    """What the learner seals, the reference opens."""
    key = os.urandom(32)
    for kind, sender in (("room", "alice"), ("direct", "alice"), ("whisper", "bob")):
        message = await sealed(at, key, kind, sender)
        try:
            text = RoomKey(key, Ciphers()).open(message)
        except NotOpened:
            how = sealed_how.message(key, message)
            why = f"it is sealed {how}" if how else "another key, nonce or associated data, or not AES-256-GCM"
            return f"What RoomKey.seal made of a {kind} message of {sender}'s does not open with the reference: {why}."
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
    nonces += [(await sealed(at, key, session=2, n=n)).nonce for n in range(20)]  # as after a restart
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
    if fault := await opens_again(at, key, message):
        return fault
    data, nonce = message.ciphertext, message.nonce
    changed = {
        "a change in its first byte": (bytes([data[0] ^ 1]) + data[1:], nonce),
        "a change in its last byte (the tag)": (data[:-1] + bytes([data[-1] ^ 1]), nonce),
        "the tag cut off": (data[:-16], nonce),
        "only part of the tag left": (data[:-12], nonce),
        "nothing in it": (b"", nonce),
        "another nonce": (data, bytes([nonce[0] ^ 1]) + nonce[1:]),
        "no nonce": (data, b""),
        "a nonce of 16 bytes": (data, nonce + bytes(4)),
    }
    for what, (ciphertext, beside) in changed.items():
        other = msgspec.structs.replace(message, ciphertext=ciphertext, nonce=beside)
        returned = await at.returned("room_key_open", key.hex(), plain(other))
        if returned.raised != "NotOpened":
            return f"A ciphertext with {what} was opened, as “{str(returned.value)[:60]}”."
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
    if fault := await opens_again(at, key, message):
        return fault
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
        how = sealed_how.message(key, await sealed(at, key, kind, sender))
        if how is None:
            return f"A {kind} message of {sender}'s is not sealed under the key of this sender and kind."
        if how.key:
            return f"A {kind} message of {sender}'s is sealed {how.key}, and not under that of this sender and kind."
    return ""


@probe
async def fresh_room_key(at: Asking) -> str:
    """A new room key is 32 bytes that nobody could foresee."""
    keys = [await at.call("room_key_fresh") for _ in range(3)]
    if any(not isinstance(key, str) or len(key) != 64 for key in keys):
        return f"RoomKey.fresh made a key of {len(str(keys[0])) // 2} bytes; it has 32."
    if len(set(keys)) < len(keys):
        return "RoomKey.fresh made the same key twice."
    seed = secrets.token_hex(8)
    if await at.call("room_key_seeded", seed) == await at.call("room_key_seeded", seed):
        return "RoomKey.fresh takes its key from `random`: whoever knows some of what that gave can compute the rest."
    return ""
