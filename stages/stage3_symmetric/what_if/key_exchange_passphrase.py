"""`key_exchange=passphrase`: the room key is made from a passphrase that all members were told; nothing is exchanged.

What is right about it: there is no exchange to stand in the middle of, and no member who gives the key to whoever the
server names.

Why it is wrong: a passphrase is not a key. People choose it from few, and here one fast hash makes a key of it, so a
guess costs microseconds. Whoever has one recorded message tries words until it opens, offline, where nobody counts the
tries. There is no salt: the same words make the same key in every room of this name, so one table of keys serves them
all. Argon2id (RFC 9106) with a salt would make each guess dear; a password-authenticated key exchange (SPAKE2, RFC
9382) would allow none offline.

And it lasts: the same words make the same key tomorrow, and made it last year. There is no forward secrecy; who was
told once can read on until all others agree on new words; and the number of messages that one key allows is counted
over all that time.

Nobody grants a key, so nobody tells a newcomer how far each sender has counted. With `replay_protection=on` a client
therefore counts from the first room message that it hears of each sender, and takes nothing before that for missing.
What it has accepted it shows no second time while it runs. After a restart it knows of nothing, the key is still the
old one, and what was recorded before opens once more.
"""

import unicodedata
from typing import Any

from common.errors import LabError
from common.session import ClientEffect, alarm

from ..client import ClientSession
from ..room_key import ROOM, Counter, KeyRequest, Kind, RoomKey, derive
from .replay_protection_on import CheckedCounters


def room_key_from(passphrase: str) -> bytes:
    """The room key of 32 bytes: HKDF-SHA-256 of the passphrase, without a salt, the room as its label (RFC 5869, which
    says in section 4 that slowing guesses down is no part of it). Raises LabError where there is no passphrase."""
    if not passphrase:  # or whoever forgot it would seal with a key that everybody knows
        raise LabError("There is no passphrase to make the room key from; nothing was sent.")
    return derive(unicodedata.normalize("NFC", passphrase).encode(), "room key from a passphrase", ROOM)


class PassphraseSession(ClientSession):
    """Stands where `ClientSession` stands; it knows the room key before anybody is there."""

    def __init__(self, passphrase: str, *given: Any, **ways: Any) -> None:
        super().__init__(*given, **ways)
        self.shared = room_key_from(passphrase)

    def seek_key(self) -> list[ClientEffect]:
        """There is nobody to ask."""
        return self.have_key(RoomKey(self.shared, self.ciphers))

    def grant(self, request: KeyRequest) -> list[ClientEffect]:
        """Nobody is given the room key, whoever the server says has come."""
        return [alarm(f"{request.sender} asked for the room key, which nobody is given here; it was not given.")]


class UntoldCounters(CheckedCounters):
    """Stands where `CheckedCounters` stands; before the first that is heard of a sender, nothing is missing."""

    def _skipped(self, kind: Kind, last: Counter | None, counter: Counter) -> int:
        return super()._skipped(kind, last, counter) if last else 0
