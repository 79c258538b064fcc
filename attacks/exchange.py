"""The room key's exchange, as an attacker takes part in it: what the attacks on it share.

Nothing in the exchange says whose public key it is. So an attacker can ask for the room key under any name (`Asking`),
and whoever carries the exchange can put a pair of their own between the two who make it (`Between`). Neither needs to
break anything: the mathematics is the members' own.
"""

import importlib
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import json

from attacks import boxes
from stages import Stage


def exchanged(stage: Stage) -> bool:
    """Do the members of this stage get a room key by an exchange?"""
    return "key-request" in stage.messages


def _module(stage: Stage, name: str) -> Any:
    return importlib.import_module(f"stages.{stage.package}.{name}")


class Asking:
    """Somebody who asks a holder of the room key for it: a stranger, under whatever name."""

    def __init__(self, stage: Stage, name: str, holder: str) -> None:
        self._stage = stage
        self._own = X25519PrivateKey.generate()
        public = self._own.public_key().public_bytes_raw()
        self.request = stage.messages["key-request"](sender=name, to=holder, public_key=public)

    def key(self, answer: Any) -> bytes:
        """The room key out of the holder's answer."""
        key: bytes = _module(self._stage, "room_key").unwrap(self._own, answer).key
        return key


class Between:
    """Whoever carries the exchange: each of the two sides agrees on a key, and both agree with us."""

    def __init__(self, stage: Stage, note: Callable[[str], None]) -> None:
        self._stage = stage
        self._note = note
        self._asked: dict[tuple[str, str], tuple[Any, Asking]] = {}
        self.keys: list[bytes] = []
        """Every room key that went through our hands."""

    def carry(self, message: Any, to: str) -> Any:
        """What goes on in place of this message."""
        match message.__struct_config__.tag:
            case "key-request":
                self._note(f"{message.sender} asks {message.to} for the room key; the attacker asks in that name")
                return self.request(message)
            case "key-grant":
                self._note(f"{message.sender} grants {message.to} the room key; the attacker reads it and passes it on")
                return self.grant(message)
        return message

    def request(self, request: Any) -> Any:
        """What the holder gets in place of a newcomer's request: our public key, in the newcomer's name."""
        ours = Asking(self._stage, request.sender, request.to)
        self._asked[request.sender, request.to] = request, ours
        return ours.request

    def grant(self, answer: Any) -> Any:
        """What the newcomer gets in place of the holder's answer: the same room key, wrapped anew by us."""
        if (answer.to, answer.sender) not in self._asked:
            return answer
        request, ours = self._asked[answer.to, answer.sender]
        room_key = _module(self._stage, "room_key")
        granted = room_key.unwrap(ours._own, answer)
        self.keys.append(granted.key)
        return room_key.wrap(granted, answer.to, answer.sender, request)


def between(stage: Stage, note: Callable[[str], None]) -> Between | boxes.BetweenBoxes:
    """Whoever carries what the members agree on keys with, at whatever stage; the note tells what is replaced."""
    return boxes.BetweenBoxes(stage, note) if boxes.boxed(stage) else Between(stage, note)


def read(stage: Stage, key: bytes, sealed: Any) -> str | None:
    """The text of a sealed message; None where this key does not open it."""
    if boxes.boxed(stage):
        return boxes.read(stage, key, sealed)
    opened = _open(stage, key, sealed)
    return opened[1] if opened else None


def forge(stage: Stage, key: bytes, example: Any, text: str, *, ahead: int = 1) -> Any:
    """A message in the name of whoever sealed `example`, so many after it (0: in its place)."""
    if boxes.boxed(stage):
        return boxes.forge(stage, key, example, text, ahead=ahead)
    opened = _open(stage, key, example)
    if opened is None:
        raise ValueError("the example was not sealed with this key")
    session, n = example.counter
    return opened[0].seal(example.kind, example.sender, example.to, (session, n + ahead), text)


def key_from(stage: Stage, passphrase: str) -> bytes:
    """The room key that members make of a passphrase, where they do; how it is made is no secret."""
    key: bytes = _module(stage, "what_if.key_exchange_passphrase").room_key_from(passphrase)
    return key


def _open(stage: Stage, key: bytes, sealed: Any) -> tuple[Any, str] | None:
    """The room key in the first of the stage's ciphers that opens the message, and the text."""
    room_key = _module(stage, "room_key")
    for ciphers in _ciphers_with(stage, len(sealed.nonce)):
        candidate = room_key.RoomKey(key, ciphers)
        try:
            return candidate, candidate.open(sealed)
        except room_key.NotOpened:
            continue
    return None


@cache
def _ciphers_with(stage: Stage, nonce_bytes: int) -> list[Any]:
    """The stage's ciphers that make nonces of this size, each with and without padding.

    Which cipher is in use is no secret; authenticated ones come first, because the others open anything.
    """
    room_key, weak = _module(stage, "room_key"), _module(stage, "what_if.cipher").WAYS
    ciphers = [c for c in (room_key.AesGcm(), *weak.values()) if len(c.seal(bytes(32), b"", b"")[0]) == nonce_bytes]
    paddings = (room_key.NoPadding(), _module(stage, "what_if.padding_buckets").Buckets())
    return [room_key.Ciphers(cipher, padding) for cipher, padding in product(ciphers, paddings)]


def unsealed(stage: Stage, kind: str, sender: str, to: str, text: str) -> dict[str, Any]:
    """The fields of a message as somebody without a key makes it: what would be sealed stands there as it is."""
    plain = {"type": kind, "from": sender, "to": to, "text": text}
    inside = {"version": 1, "kind": kind, "room": "lobby", "counter": [1000, 0]}
    names = stage.messages[kind].__struct_encode_fields__
    if "text" in names:
        return plain
    if "counter" in names:
        return {**plain, **inside, "nonce": "", "ciphertext": text.encode()}
    content = json.encode({"from": sender, "to": to, "text": text, **inside})
    return {**plain, "nonce": "", "ciphertext": content}
