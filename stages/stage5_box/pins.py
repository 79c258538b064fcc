"""Pins: which key was somebody's when we first met them, as in ssh's `known_hosts`.

The first key is taken on trust, and shown with its safety number, which two people can compare. From then on another
key under the same name is refused until the person decides, and another name with the same key as well.
"""

from pathlib import Path
from typing import Literal

import msgspec

from common.errors import LabError
from common.files import read_checked, write_checked

from .box import Key

Meeting = Literal["known", "first", "changed", "shared"]


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that a name was first met with; `verified` once its safety number was compared."""

    key: Key
    verified: bool = False


class Pins:
    """The pins of one member, in a file that only its owner may read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known = self._load()

    def meet(self, name: str, key: bytes) -> Meeting:
        """Somebody came with this key: known, met for the first time (and pinned now), come with another key than
        before, or with a key that is somebody else's."""
        if self.is_pinned(name, key):
            return "known"
        if any(other.key == key for other in self.known.values()):
            return "shared"
        if name in self.known:
            return "changed"
        self.pin(name, key)
        return "first"

    def is_pinned(self, name: str, key: bytes) -> bool:
        """Is this the key that we know under this name?"""
        pin = self.known.get(name)
        return pin is not None and pin.key == key

    def may_talk(self, name: str, key: bytes) -> bool:
        """May anything be sealed for, or shown as from, whoever has this name and key?"""
        return self.is_pinned(name, key)

    def why_not(self, name: str, key: bytes) -> str:
        """Why not, and what to do."""
        return f"their key is not the one you know; ask them, then /trust {name}"

    def pin(self, name: str, key: bytes, *, verified: bool = False) -> None:
        """Take this key for this name, from now on."""
        self.known[name] = Pin(key, verified)
        write_checked(self.file, msgspec.json.encode(self.known), lasting=True)

    def _load(self) -> dict[str, Pin]:
        if not self.file.exists():
            return {}
        if self.file.stat().st_mode & 0o022:
            raise LabError(f"{self.file} can be changed by others; close it with: chmod 600 {self.file}")
        try:
            return msgspec.json.decode(read_checked(self.file), type=dict[str, Pin])
        except (OSError, ValueError) as error:  # msgspec's own are ValueErrors
            raise LabError(f"{self.file} is damaged ({error}); move it away, and compare all keys anew.") from None
