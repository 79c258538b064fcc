"""Stored passwords as a thief sees them: what each looks like, and how to hash a guess the same way.

A stored password gives away how it was made by its look, and that is no flaw: the server needs to know it too.
"""

import base64
import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nacl.pwhash import argon2id

from common.errors import LabError

SALT_BYTES: Final = 16
SCRYPT_COST: Final = {"n": 2**17, "r": 8, "p": 1}
"""The server's; a stored scrypt hash does not name them (RFC 7914)."""
ARGON2ID_MARK: Final = b"$argon2id$"


@dataclass(frozen=True)
class Way:
    """A way of storing passwords: cut what is stored into salt and digest, and make the digest of a guess."""

    name: str
    split: Callable[[bytes], tuple[bytes, bytes]]
    hash: Callable[[bytes, bytes], bytes]
    salted: bool = True
    fast: bool = False
    """Is it the salt and the guess, hashed once with SHA-256?"""

    def hits(self, salt: bytes, words: Iterable[bytes], digests: Container[bytes]) -> list[tuple[bytes, bytes]]:
        """Each word whose digest is among these, with it. Where hashes are fast, the quickest loop that `hashlib`
        allows: the salt is taken in once, and the state after it is copied."""
        if not self.fast:
            return [(word, digest) for word in words if (digest := self.hash(salt, word)) in digests]
        found, begun = [], hashlib.sha256(salt).copy
        for word in words:
            state = begun()
            state.update(word)
            if (digest := state.digest()) in digests:
                found.append((word, digest))
        return found


def _argon2id(head: bytes, guess: bytes) -> bytes:
    """`head` is $argon2id$v=19$m=…,t=…,p=1$salt, as RFC 9106's reference code writes it."""
    _, _, _, numbers, salt = head.split(b"$")
    cost = dict(number.split(b"=") for number in numbers.split(b","))
    raw = base64.b64decode(salt + b"==")
    digest = argon2id.kdf(32, guess, raw, opslimit=int(cost[b"t"]), memlimit=1024 * int(cost[b"m"]))
    return base64.b64encode(digest).rstrip(b"=")


def _argon2id_parts(stored: bytes) -> tuple[bytes, bytes]:
    head, _, digest = stored.rpartition(b"$")
    return head, digest


def _salt_first(stored: bytes) -> tuple[bytes, bytes]:
    return stored[:SALT_BYTES], stored[SALT_BYTES:]


def _no_salt(stored: bytes) -> tuple[bytes, bytes]:
    return b"", stored


def _scrypt(salt: bytes, guess: bytes) -> bytes:
    return hashlib.scrypt(guess, salt=salt, **SCRYPT_COST, maxmem=256 * 1024 * 1024)


ARGON2ID: Final = Way("Argon2id", _argon2id_parts, _argon2id)
SCRYPT: Final = Way("scrypt", _salt_first, _scrypt)
SALTED_SHA256: Final = Way(
    "salted SHA-256", _salt_first, lambda salt, guess: hashlib.sha256(salt + guess).digest(), fast=True
)
SHA256: Final = Way("SHA-256", _no_salt, lambda _, guess: hashlib.sha256(guess).digest(), salted=False, fast=True)
PLAINTEXT: Final = Way("plaintext", _no_salt, lambda _, guess: guess, salted=False)

_BY_SIZE: Final = {32: SHA256, SALT_BYTES + 32: SALTED_SHA256, SALT_BYTES + 64: SCRYPT}


def way_of(stored: bytes) -> Way:
    """How this was made."""
    if stored.startswith(ARGON2ID_MARK):
        return ARGON2ID
    if stored.isascii():
        return PLAINTEXT  # 32 random bytes are ASCII once in four billion times
    return _BY_SIZE.get(len(stored), PLAINTEXT)


def stolen(file: Path) -> dict[str, bytes]:
    """What is stored for each account. Raises LabError."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT name, stored FROM accounts").fetchall()
    except sqlite3.Error as error:
        raise LabError(f"{file} is no database of accounts ({error}); give a server's accounts.sqlite.") from None
    if not rows:
        raise LabError(f"{file} has no accounts; register somebody first.")
    return {str(name): bytes(stored) for name, stored in rows}
