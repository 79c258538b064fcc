"""The probes of stage 3: how a newcomer gets the room key, against the reference."""

import os
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lab.exercise import sealed_how
from lab.exercise.probes import Asking, Elsewhere, probe
from lab.exercise.probes3 import plain
from stages.stage3_symmetric.room_key import Grant, KeyGrant, KeyRequest, NotOpened, agree, unwrap, wrap

SMALL_ORDER: Final = (bytes(32), b"\x01" + bytes(31), bytes.fromhex("ecff" + "ff" * 29 + "7f"))
"""Public keys with which the shared secret is all zero, whatever the other key is (RFC 7748, section 6.1)."""


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
        how = sealed_how.grant(own, answer)
        if how == sealed_how.NAMES:
            raise Elsewhere(
                "names-bound", f"The reference cannot take the room key out: it is wrapped {how}."
            ) from None
        why = f"it is wrapped {how}" if how else "is it AES-256-GCM over the Grant as JSON, without associated data?"
        return f"The reference cannot take the room key out of what wrap made: {why}"
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
async def grants_are_checked(at: Asking) -> str:
    """What is no grant for us is refused, and stops nobody's client."""
    own, request = _request()
    answer = wrap(Grant(key=os.urandom(32), counters={}), "bob", "alice", request)
    first = bytes([answer.ciphertext[0] ^ 1])
    changed = {
        "of which a bit was changed": msgspec.structs.replace(answer, ciphertext=first + answer.ciphertext[1:]),
        "that is empty": msgspec.structs.replace(answer, ciphertext=b""),
        "without a nonce": msgspec.structs.replace(answer, nonce=b""),
        "with a key of small order": msgspec.structs.replace(answer, public_key=SMALL_ORDER[0]),
        "in which no Grant is": _wrapped(b'{"key":"short"}', request),
        "in which no JSON is": _wrapped(b"\xff", request),
    }
    for what, grant in changed.items():
        if not await at.refused("room_key_unwrap", own.private_bytes_raw().hex(), plain(grant)):
            return f"A grant {what} was taken."
    return ""


def _wrapped(data: bytes, request: KeyRequest) -> KeyGrant:
    """What a holder of the room key sends who means no good."""
    pair, nonce = X25519PrivateKey.generate(), os.urandom(12)
    public = pair.public_key().public_bytes_raw()
    key = agree(pair, request.public_key, request.public_key, public, "bob", "alice")
    return KeyGrant(
        sender="alice", to="bob", public_key=public, nonce=nonce, ciphertext=AESGCM(key).encrypt(nonce, data, b"")
    )


@probe
async def pairs_are_fresh(at: Asking) -> str:
    """Each grant is wrapped with a pair of its own: a stolen one opens one grant."""
    _, request = _request()
    grant = plain(Grant(key=os.urandom(32), counters={}))
    keys = {(await at.call("room_key_wrap", grant, "bob", "alice", plain(request)))["public_key"] for _ in range(2)}
    return "" if len(keys) == 2 else "Two grants have the same public key: wrap is to make a fresh pair for each."


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
