"""Accounts: who may come in under which name. This is what the stage adds.

A password is kept as an Argon2id hash (RFC 9106) with the parameters that OWASP's Password Storage Cheat Sheet gives
as its minimum: 19 MiB of memory, 2 passes, 1 lane, and a fresh salt for each account. Whoever steals the database has
to spend that memory and time on every guess, for every account anew.
"""

import contextlib
import os
import sqlite3
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Protocol

from msgspec import Meta
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from common.errors import LabError
from common.messages import Message, Port
from common.text import Name, skeleton

Password = Annotated[str, Meta(min_length=1, max_length=256)]

MEMORY_BYTES: Final = 19 * 1024 * 1024
PASSES: Final = 2
VERSION: Final = 1
"""Of the database's layout."""


class Register(Message, frozen=True, kw_only=True, tag="register"):
    """Client to server, first of all: make an account, and let me in."""

    name: Name
    password: Password
    udp_port: Port


class Login(Message, frozen=True, kw_only=True, tag="login"):
    """Client to server, first of all: this is my password, let me in."""

    name: Name
    password: Password
    udp_port: Port


class Hashing(Protocol):
    """A way to store passwords."""

    def hash(self, password: bytes) -> bytes:
        """What to store."""

    def verify(self, stored: bytes, password: bytes) -> bool:
        """Is this the password that was stored?"""


class Argon2id:
    """The right way: the salt and the parameters are part of what is stored."""

    def hash(self, password: bytes) -> bytes:
        return bytes(argon2id.str(password, opslimit=PASSES, memlimit=MEMORY_BYTES)).rstrip(b"\0")

    def verify(self, stored: bytes, password: bytes) -> bool:
        try:
            return bool(argon2id.verify(stored, password))
        except CryptoError:
            return False


class Accounts:
    """The accounts of one server, in an SQLite file that only its owner may read.

    Every method opens the file anew, so that the pool's threads can use it at once. `register` returns after the
    commit has reached the disk: whoever was told "registered" is there, even after `kill -9`.
    """

    def __init__(self, file: Path, hashing: Hashing) -> None:
        self.file = file
        self.hashing = hashing
        self._nobody = _of_nobody(type(hashing))
        self._prepare()

    def register(self, name: str, password: str) -> bool:
        """Make an account; False where the name, or one that looks like it, has one. Slow, on purpose."""
        stored = self.hashing.hash(_normal(password))
        with self._open() as database:
            row = (name, skeleton(name), stored)
            added = database.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)", row)
            return added.rowcount == 1

    def verify(self, name: str, password: str) -> bool:
        """Is this the account's password? Slow, and equally slow where there is no such account: the time that an
        answer takes must not tell who has one."""
        with self._open() as database:
            row = database.execute("SELECT stored FROM accounts WHERE name = ?", (name,)).fetchone()
        right = self.hashing.verify(row[0] if row else self._nobody, _normal(password))
        return right and row is not None

    def has(self, name: str) -> bool:
        """Is there such an account? Quick, so it can be asked again when a password was found to be right."""
        with self._open() as database:
            return database.execute("SELECT 1 FROM accounts WHERE name = ?", (name,)).fetchone() is not None

    def remove(self, name: str) -> bool:
        """Take an account away; False where there is none."""
        with self._open() as database:
            return database.execute("DELETE FROM accounts WHERE name = ?", (name,)).rowcount == 1

    def _prepare(self) -> None:
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.file, os.O_CREAT | os.O_EXCL, 0o600))
            if self.file.stat().st_mode & 0o077:
                raise LabError(f"{self.file} can be read by others; close it with: chmod 600 {self.file}")
            with self._connected() as database:
                damage = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if damage != "ok":
                    raise sqlite3.DatabaseError(damage)
                version = database.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, VERSION):
                    raise LabError(f"{self.file} is of another version of the lab; move it away and register anew.")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS accounts "
                    "(name TEXT PRIMARY KEY, skeleton TEXT UNIQUE NOT NULL, stored BLOB NOT NULL)"
                )
                database.execute(f"PRAGMA user_version = {VERSION}")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # what SQLite says of damage may be damaged too
            why = " ".join(str(error).split())
            raise LabError(f"{self.file} is no database of accounts ({why}); move it away and register anew.") from None
        except OSError as error:
            raise LabError(f"{self.file} cannot be used ({error.strerror}); choose another folder.") from None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection that commits at the end of the block, to the disk. Raises LabError where that fails: a disk that
        is full has room again, and a server that lives on can then let people in."""
        try:
            with self._connected() as database:
                yield database
        except sqlite3.IntegrityError:  # somebody has that name already: an answer, and no damage
            raise
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter from a damaged schema
            raise LabError(f"{self.file} cannot be used ({error}); mend that, and people can come in again.") from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as database:
            database.execute("PRAGMA synchronous = FULL")
            with database:
                yield database


@cache
def _of_nobody(way: type[Hashing]) -> bytes:
    """What a login under an unknown name is compared with. It takes as long to make as any, so it is made once."""
    return way().hash(os.urandom(16))


def _normal(password: str) -> bytes:
    """The same password has the same bytes, whichever keyboard it was typed on (RFC 8265, section 4.2.2)."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced).encode()
