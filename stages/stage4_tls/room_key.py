"""The room key: what members encrypt with, and how a newcomer gets it. This is what the stage adds.

The room key is 32 random bytes, made by whoever comes into an empty room and alive until the room is empty again. A
newcomer makes a fresh X25519 pair (RFC 7748) and asks the member who has been there longest; the answer holds that
member's fresh public key and the room key, wrapped under what the two pairs agree on.

Deliberately missing: anything that says whose public key it is. Whoever holds the wire, or the server, answers in
somebody else's name.

A message is sealed with AES-256-GCM (NIST SP 800-38D) under a key of its own for each sender and kind, which keeps
their nonces apart; every member can derive every such key, so it authenticates nobody. What is not secret (kind, room,
sender, recipient, counter) is sent beside it and bound to it as associated data.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from common.limits import TEXT_BYTES
from common.messages import Message
from common.text import Name

VERSION: Final = 1
ROOM: Final = "lobby"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

Kind = Literal["room", "direct", "whisper"]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Counter = tuple[Count, Count]
"""(session, n): how often the sender has started, and how many messages of this kind came before in this session."""
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Nonce = Annotated[bytes, Meta(max_length=16)]
Ciphertext = Annotated[bytes, Meta(max_length=TEXT_BYTES + 32)]
"""A text, and what sealing adds to its length."""


class Sealed(Message, frozen=True, kw_only=True, omit_defaults=False):
    """Words that only holders of the room key can read. All but `ciphertext` is readable, and bound to it."""

    version: Literal[1] = VERSION
    kind: Kind
    room: Literal["lobby"] = ROOM
    sender: Name = msgspec.field(name="from")
    to: Name | None = None
    counter: Counter
    nonce: Nonce
    ciphertext: Ciphertext

    def associated_data(self) -> bytes:
        """The canonical encoding of everything that is bound to the ciphertext."""
        return canonical(self.version, self.kind, self.room, self.sender, self.to or "", *self.counter)


class Say(Sealed, frozen=True, kw_only=True, tag="say"):
    """Client to server, and from there to the room, or to one member where `to` is given."""


class Whisper(Sealed, frozen=True, kw_only=True, tag="whisper"):
    """From member to member over UDP; the server never sees it."""


class KeyRequest(Message, frozen=True, kw_only=True, tag="key-request"):
    """Newcomer to the longest-present member: give me the room key; this is my fresh public key."""

    sender: Name = msgspec.field(name="from")
    to: Name
    public_key: PublicKey


class KeyGrant(Message, frozen=True, kw_only=True, tag="key-grant"):
    """Member to newcomer: my fresh public key, and the room key wrapped under what our two keys agree on."""

    sender: Name = msgspec.field(name="from")
    to: Name
    public_key: PublicKey
    nonce: Nonce
    ciphertext: bytes


class Grant(Message, frozen=True, kw_only=True):
    """What is wrapped: the room key, and each sender's counters, so that a newcomer can tell old messages from new."""

    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    counters: dict[str, Counter]


class NotOpened(Exception):
    """A ciphertext was not made under this key, or was changed since, or what is written on it was."""


def canonical(*parts: str | int) -> bytes:
    """One byte string for one list of parts: JSON, in which no two lists look alike."""
    return msgspec.json.encode(parts)


def derive(secret: bytes, purpose: str, *binding: str | int) -> bytes:
    """A 32-byte key for one purpose by HKDF-SHA-256 (RFC 5869), bound to everything in `binding`."""
    info = canonical(f"progressive-security-lab {purpose} v{VERSION}", *binding)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


class Cipher(Protocol):
    """A way to encrypt one message."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        """Nonce and ciphertext."""

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        """The text. Raises NotOpened."""


class AesGcm:
    """AES-256-GCM with random nonces: at most 2**32 messages under one key (NIST SP 800-38D, section 8.3)."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        return nonce, AESGCM(key).encrypt(nonce, text, associated_data)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, associated_data)
        except (InvalidTag, ValueError):
            raise NotOpened from None


class Padding(Protocol):
    """What is done to a text's length before it is sealed."""

    def pad(self, text: bytes) -> bytes:
        """Before sealing."""

    def unpad(self, padded: bytes) -> bytes:
        """After opening. Raises NotOpened."""


class NoPadding:
    """A ciphertext is as long as its text: whoever listens sees how long every message is."""

    def pad(self, text: bytes) -> bytes:
        return text

    def unpad(self, padded: bytes) -> bytes:
        return padded


@dataclass(frozen=True)
class Ciphers:
    """What a text goes through: its length is hidden or not, then it is encrypted."""

    cipher: Cipher = field(default_factory=AesGcm)
    padding: Padding = field(default_factory=NoPadding)


class RoomKey:
    """The key that all members share, and what is done with it."""

    def __init__(self, key: bytes, ciphers: Ciphers) -> None:
        self.key = key
        self.cipher = ciphers.cipher
        self.padding = ciphers.padding

    @classmethod
    def fresh(cls, ciphers: Ciphers) -> "RoomKey":
        """A new room key, for an empty room."""
        return cls(os.urandom(KEY_BYTES), ciphers)

    def seal(self, kind: Kind, sender: str, to: str | None, counter: Counter, text: str) -> Say | Whisper:
        """Encrypt a text; what is not secret is bound to it."""
        blank = (Whisper if kind == "whisper" else Say)(
            kind=kind, sender=sender, to=to, counter=counter, nonce=b"", ciphertext=b""
        )
        padded = self.padding.pad(text.encode())
        nonce, ciphertext = self.cipher.seal(self._message_key(blank), padded, blank.associated_data())
        return msgspec.structs.replace(blank, nonce=nonce, ciphertext=ciphertext)

    def open(self, sealed: Say | Whisper) -> str:
        """Decrypt a text. Raises NotOpened where it is not exactly what a holder of the key sealed, or no text."""
        padded = self.cipher.open(self._message_key(sealed), sealed.nonce, sealed.ciphertext, sealed.associated_data())
        text = self.padding.unpad(padded)
        if not 0 < len(text) <= TEXT_BYTES:  # the server cannot see to it any more
            raise NotOpened
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise NotOpened from None

    def _message_key(self, sealed: Say | Whisper) -> bytes:
        """A key for each sender and kind: their random nonces can never meet."""
        return derive(self.key, "message", sealed.room, sealed.kind, sealed.sender)


def wrap(grant: Grant, to: str, sender: str, request: KeyRequest) -> KeyGrant:
    """Answer a newcomer's request: agree on a key with a fresh pair, wrap the room key under it. Raises NotOpened."""
    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    wrapping = agree(own, request.public_key, request.public_key, public, to, sender)
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(wrapping).encrypt(nonce, msgspec.json.encode(grant), b"")
    return KeyGrant(sender=sender, to=to, public_key=public, nonce=nonce, ciphertext=ciphertext)


def unwrap(own: X25519PrivateKey, answer: KeyGrant) -> Grant:
    """Take the room key out of an answer. Raises NotOpened."""
    public = own.public_key().public_bytes_raw()
    wrapping = agree(own, answer.public_key, public, answer.public_key, answer.to, answer.sender)
    try:
        opened = AESGCM(wrapping).decrypt(answer.nonce, answer.ciphertext, b"")
        return msgspec.json.decode(opened, type=Grant)
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        raise NotOpened from None


def agree(
    own: X25519PrivateKey, peer: bytes, newcomer_key: bytes, holder_key: bytes, newcomer: str, holder: str
) -> bytes:
    """The wrapping key of a newcomer and a holder, bound to both keys, both names and the room. Raises NotOpened.

    A peer's key of small order would make the shared secret all zero, known to everyone (RFC 7748, section 6.1);
    `exchange` refuses it.
    """
    try:
        secret = own.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise NotOpened from None
    return derive(secret, "room key", ROOM, newcomer, holder, newcomer_key.hex(), holder_key.hex())
