"""Boxes between two members, as an attacker takes part in them: what the attacks on them share.

A box is opened and made by whoever has the key that its two members agreed on. Whoever hands out the public keys can
put keys of their own between the two (`BetweenBoxes`): then each of them agrees on a key with the attacker.
"""

import importlib
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, Final

from msgspec import MsgspecError, json
from msgspec.structs import replace
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import SecretBox

from stages import Stage

NO_KEY: Final = bytes(32)
"""Opens what is sealed with nothing."""


def boxed(stage: Stage) -> bool:
    """Does each member of this stage have a public key?"""
    return "public_key" in stage.messages["joined"].__struct_encode_fields__


def shared(own: bytes, peer: bytes) -> bytes:
    """The key that two key pairs agree on."""
    return Box(PrivateKey(own), PublicKey(peer)).shared_key()


def memory(session: Any) -> list[bytes]:
    """Every key that a member's client has agreed on, or can agree on with the public keys that it knows."""
    peers = [*(m.public_key for m in session.roster.values()), *(pin.key for pin in session.pins.known.values())]
    return [shared(bytes(session.own), peer) for peer in dict.fromkeys(peers)]


def agreed(secrets: Iterable[bytes], announced: Iterable[Any]) -> list[bytes]:
    """Every key that these private keys agree on with the public keys in rosters and the like."""
    members = [member for message in announced for member in getattr(message, "members", [message])]
    peers = {member.public_key for member in members if hasattr(member, "public_key")}
    return [shared(secret, peer) for secret, peer in product(secrets, peers)]


class _SharedKey:
    """What seals with a key that two agreed on. (NaCl's Box is its SecretBox, under that key.)"""

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        sealed = self._box.encrypt(plain)
        return sealed.nonce, sealed.ciphertext

    def open(self, nonce: bytes, ciphertext: bytes) -> bytes:
        return self._box.decrypt(ciphertext, nonce)


def _module(stage: Stage, name: str) -> Any:
    return importlib.import_module(f"stages.{stage.package}.{name}")


def _opened(stage: Stage, key: bytes, sealed: Any) -> tuple[Any, Any, Any] | None:
    """The content, and how it was sealed and padded; None where this key does not open it."""
    box = _module(stage, "box")
    sealers = (_SharedKey(key), _module(stage, "what_if.sealing_off").Unsealed(None, b""))
    paddings = (box.NoPadding(), _module(stage, "what_if.padding_buckets").Buckets())
    for sealer, padding in product(sealers, paddings):
        try:
            plain = padding.unpad(sealer.open(sealed.nonce, sealed.ciphertext))
            return json.decode(plain, type=box.Content), sealer, padding
        except (CryptoError, ValueError, TypeError, MsgspecError, box.NotOpened):
            continue
    return None


def read(stage: Stage, key: bytes, sealed: Any) -> str | None:
    """The text in a box; None where this key does not open it."""
    opened = _opened(stage, key, sealed)
    return str(opened[0].text) if opened else None


def forge(stage: Stage, key: bytes, example: Any, text: str, *, ahead: int = 1) -> Any:
    """A box like `example`, so many after it (0: in its place), with other words."""
    opened = _opened(stage, key, example)
    if opened is None:
        raise ValueError("the example was not sealed with this key")
    content, sealer, padding = opened
    session, n = content.counter
    return _module(stage, "box").seal_for(sealer, padding, replace(content, counter=(session, n + ahead), text=text))


def make(stage: Stage, key: bytes, sender: str, to: str, text: str) -> Any:
    """A box for the room, from one to the other, the first that this key ever makes."""
    box = _module(stage, "box")
    content = box.Content(
        version=box.VERSION, kind="room", room=box.ROOM, sender=sender, to=to, counter=(1, 0), text=text
    )
    return box.seal_for(_SharedKey(key), box.NoPadding(), content)


class BetweenBoxes:
    """Whoever hands out the members' public keys, and hands out keys of their own instead: one for each name."""

    def __init__(self, stage: Stage, note: Callable[[str], None]) -> None:
        self._stage = stage
        self._note = note
        self._own: dict[str, PrivateKey] = {}
        self._true: dict[str, bytes] = {}
        self.keys: list[bytes] = [NO_KEY]
        """Every key that a member agreed on with us, believing that it was with another member."""

    def public(self, name: str) -> bytes:
        """Our public key in this name."""
        return bytes(self._own.setdefault(name, PrivateKey.generate()).public_key)

    def key(self, name: str, victim: str) -> bytes:
        """What the victim and we, in this name, agree on."""
        self.public(name)
        return shared(bytes(self._own[name]), self._true[victim])

    def carry(self, message: Any, to: str) -> Any:
        """What goes on in place of this message; `to`: the member it goes to, or "" for the server."""
        if hasattr(message, "members"):
            return replace(message, members=[self._introduced(member, to) for member in message.members])
        if hasattr(message, "public_key"):
            return self._introduced(message, to)
        return self._sealed_anew(message) if hasattr(message, "ciphertext") else message

    def _introduced(self, member: Any, to: str) -> Any:
        """A member with our public key; where it goes to that member itself, with the true one."""
        if member.public_key != self.public(member.name):
            self._true[member.name] = member.public_key
        self._agree()
        if to == member.name:
            return replace(member, public_key=self._true[to])
        self._note(f"{member.name}'s public key is replaced by one of the attacker's")
        return replace(member, public_key=self.public(member.name))

    def _agree(self) -> None:
        pairs = [(name, victim) for name in self._own for victim in self._true if name != victim]
        self.keys = [*(self.key(name, victim) for name, victim in pairs), NO_KEY]

    def _sealed_anew(self, sealed: Any) -> Any:
        """A box of Alice's for us, in Bob's name, as a box of ours, in Alice's name, for Bob."""
        if not {sealed.sender, sealed.to} <= set(self._true):
            return sealed
        opened = _opened(self._stage, self.key(sealed.to, sealed.sender), sealed)
        if opened is None:
            return sealed
        content, sealer, padding = opened
        onward = _SharedKey(self.key(sealed.sender, sealed.to)) if isinstance(sealer, _SharedKey) else sealer
        return _module(self._stage, "box").seal_for(onward, padding, content)
