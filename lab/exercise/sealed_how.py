"""How something of stage 3's was sealed, where it was not sealed as it should be: a learner is told what differs, and
not only that something does. The ways tried are those that students take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stages.stage3_symmetric.room_key import ROOM, KeyGrant, Say, Whisper, derive


@dataclass(frozen=True)
class Found:
    """What opens it. `key` and `data`: what is wrong with either, to be read after “sealed”; empty where right."""

    key: str
    data: str

    def __str__(self) -> str:
        return " and ".join(filter(None, (self.key, self.data)))


def message(key: bytes, sealed: Say | Whisper) -> Found | None:
    """Which key and which associated data this was sealed with; None where it is none of those known."""
    room, kind, sender = sealed.room, sealed.kind, sealed.sender
    keys = {
        "": derive(key, "message", room, kind, sender),
        "under the room key itself, with which all senders share their nonces": key,
        "under a key that is not bound to the sender": derive(key, "message", room, kind),
        "under a key that is not bound to the kind": derive(key, "message", room, sender),
        "under a key that is bound to nothing": derive(key, "message"),
    }
    datas = {"": sealed.associated_data(), "without its associated data": b""}
    for (what, candidate), (and_what, data) in ((k, d) for k in keys.items() for d in datas.items()):
        if _opens(candidate, sealed.nonce, sealed.ciphertext, data):
            return Found(what, and_what)
    return None


NAMES: Final = "with a key that is not bound to the names"


def grant(own: X25519PrivateKey, answer: KeyGrant) -> str:
    """What is wrong with the key that a grant was wrapped under, to be read after “wrapped”; empty if unknown."""
    secret = own.exchange(X25519PublicKey.from_public_bytes(answer.public_key))
    keys = (own.public_key().public_bytes_raw().hex(), answer.public_key.hex())
    names = (answer.to, answer.sender)
    bindings: Mapping[str, Sequence[str]] = {
        NAMES: (ROOM, *keys),
        "with a key that is not bound to the public keys": (ROOM, *names),
        "with a key that is not bound to the room": (*names, *keys),
        "with a key that is bound to nothing": (),
        "with the two names in the other order": (ROOM, *names[::-1], *keys),
        "with the two public keys in the other order": (ROOM, *names, *keys[::-1]),
        "with the names and the public keys in the other order": (ROOM, *names[::-1], *keys[::-1]),
    }
    ways = {what: derive(secret, "room key", *binding) for what, binding in bindings.items()}
    ways["with the shared secret itself, without HKDF"] = secret
    return next((what for what, key in ways.items() if _opens(key, answer.nonce, answer.ciphertext, b"")), "")


def _opens(key: bytes, nonce: bytes, ciphertext: bytes, data: bytes) -> bool:
    try:
        AESGCM(key).decrypt(nonce, ciphertext, data)
    except (InvalidTag, ValueError):
        return False
    return True
