"""A box for every two members. This is what the stage adds.

Each member has an X25519 key pair that lives as long as the account's folder. What one says to another is sealed with
NaCl's Box (X25519, XSalsa20 and Poly1305): only the two of them can make it or open it, not the server, and not the
other members. A message to the room is a box for each member.

A Box binds nothing that stands beside it, and the two share one key for both directions: a box that Alice made for Bob
opens for Alice too, and one made for the room opens as a whisper. So everything that a message means stands inside:
who says it to whom, in which room, of which kind, and which one it is. Whatever differs from what stands outside, or
from what is expected, is refused.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec
from msgspec import Meta
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from common.errors import LabError
from common.files import read_checked, write_checked
from common.messages import Message, Presence, Words
from common.text import Name

VERSION: Final = 1
ROOM: Final = "lobby"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24

Kind = Literal["room", "direct", "whisper"]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Counter = tuple[Count, Count]
"""(session, n): how often the sender has started, and how many messages of this kind to this member came before."""
Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]


class Member(Presence, frozen=True, kw_only=True):
    """Who somebody says they are, where their whispers are to be sent, and which key is said to be theirs."""

    public_key: Key


class Roster(Message, frozen=True, kw_only=True, tag="roster"):
    """Server to whoever joins: all who are there, the newcomer included; `more` announces another page."""

    members: list[Member]
    more: bool = False


class Joined(Member, frozen=True, kw_only=True, tag="joined"):
    """Server to all others: somebody came."""


class Sealed(Message, frozen=True, kw_only=True):
    """A box for one member. What stands outside is for delivery, and proves nothing."""

    sender: Name = msgspec.field(name="from")
    to: Name
    nonce: bytes
    ciphertext: bytes


class Say(Sealed, frozen=True, kw_only=True, tag="say"):
    """Client to server, and from there to one member: for the room, or for them alone, as the box says."""


class Whisper(Sealed, frozen=True, kw_only=True, tag="whisper"):
    """From member to member over UDP; the server never sees it."""


class Content(Message, frozen=True, kw_only=True):
    """What stands inside a box: everything that it means. Nothing has a default: what is left out means nothing."""

    version: Literal[1]
    kind: Kind
    room: Literal["lobby"]
    sender: Name = msgspec.field(name="from")
    to: Name
    counter: Counter
    text: Words


class NotOpened(Exception):
    """A box was not made by these two, or it does not mean what stands on it."""


class Padding(Protocol):
    """What is done to a content's length before it is sealed."""

    def pad(self, text: bytes) -> bytes:
        """Before sealing."""

    def unpad(self, padded: bytes) -> bytes:
        """After opening. Raises NotOpened."""


class NoPadding:
    """A box is as long as what is in it: whoever listens sees how long every message is."""

    def pad(self, text: bytes) -> bytes:
        return text

    def unpad(self, padded: bytes) -> bytes:
        return padded


class Sealer(Protocol):
    """What seals for one peer and opens what they sealed."""

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        """Nonce and ciphertext."""

    def open(self, nonce: bytes, ciphertext: bytes) -> bytes:
        """The content. Raises NotOpened."""


class PeerBox:
    """The box of two members; the key agreement is done once, when it is made. Raises NotOpened for a bad key."""

    def __init__(self, own: PrivateKey, peer: bytes) -> None:
        try:
            self._box = Box(own, PublicKey(peer))
        except CryptoError:  # a key of small order (RFC 7748, section 6.1): the shared secret would be known to all
            raise NotOpened from None

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        sealed = self._box.encrypt(plain)  # with a random nonce; of 192 bits, it may be random for ever
        return sealed.nonce, sealed.ciphertext

    def open(self, nonce: bytes, ciphertext: bytes) -> bytes:
        try:
            return self._box.decrypt(ciphertext, nonce)
        except (CryptoError, ValueError):
            raise NotOpened from None


def seal_for(peer: Sealer, padding: Padding, content: Content) -> Say | Whisper:
    """A content as a message to its recipient."""
    nonce, ciphertext = peer.seal(padding.pad(msgspec.json.encode(content)))
    kind = Whisper if content.kind == "whisper" else Say
    return kind(sender=content.sender, to=content.to, nonce=nonce, ciphertext=ciphertext)


def open_from(peer: Sealer, padding: Padding, sealed: Say | Whisper) -> Content:
    """The content of a message, if it means what stands outside.

    Raises NotOpened: for a box of somebody else, for our own sent back to us (reflection), for one that was made for
    somebody else or under another name, and for one of another kind (a room box delivered as a whisper).
    """
    try:
        content = msgspec.json.decode(padding.unpad(peer.open(sealed.nonce, sealed.ciphertext)), type=Content)
    except (msgspec.MsgspecError, UnicodeError):  # a member may seal bytes that are no text
        raise NotOpened from None
    whispered = isinstance(sealed, Whisper)
    if (content.sender, content.to, content.kind == "whisper") != (sealed.sender, sealed.to, whispered):
        raise NotOpened
    return content


def identity(file: Path) -> PrivateKey:
    """The member's own key, made at the first start. Raises LabError for a file that is none."""
    if not file.exists():
        write_checked(file, bytes(PrivateKey.generate()).hex().encode(), lasting=True)
    if file.stat().st_mode & 0o077:
        raise LabError(f"{file} can be read by others; close it with: chmod 600 {file}")
    try:
        return PrivateKey(bytes.fromhex(read_checked(file).decode()))
    except (OSError, ValueError, TypeError, CryptoError) as error:
        raise LabError(f"{file} is no key ({error}); move it away, and the others must trust a new one.") from None


def safety_number(*members: tuple[str, bytes]) -> str:
    """Sixty digits over two members' names and keys, in twelve groups: the same on both sides, to be read aloud.

    Like Signal's, each group is five bytes of a SHA-512 hash modulo 100,000.
    """
    parts = [f"progressive-security-lab safety number v{VERSION}", *(f"{n} {k.hex()}" for n, k in sorted(members))]
    digest = hashlib.sha512(msgspec.json.encode(parts)).digest()
    groups = (int.from_bytes(digest[i : i + 5], "big") % 100_000 for i in range(0, 60, 5))
    return " ".join(f"{group:05d}" for group in groups)
