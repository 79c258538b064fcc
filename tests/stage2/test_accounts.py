"""Stage 2's accounts: what is stored, how it is compared, and that it is there when somebody was told so."""

import base64
import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Independent
from hypothesis import given
from hypothesis import strategies as st

from common.errors import LabError
from stages.stage2_hashed_auth.accounts import MEMORY_BYTES, PASSES, Accounts, Argon2id, Hashing, _normal
from stages.stage2_hashed_auth.what_if.authentication_off import AnyPassword
from stages.stage2_hashed_auth.what_if.password_hash import WAYS, Plaintext, Scrypt


class Counting(Plaintext):
    """Counts how often it is asked, and for what."""

    made: ClassVar[list[bytes]] = []

    def __init__(self) -> None:
        self.asked: list[str] = []

    def hash(self, password: bytes) -> bytes:
        self.asked.append("hash")
        self.made.append(super().hash(password))
        return self.made[-1]

    def verify(self, stored: bytes, password: bytes) -> bool:
        assert stored in self.made, "a hash that is none is compared in no time"
        self.asked.append("verify")
        return super().verify(stored, password)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the accounts are."""
    return tmp_path / "accounts.sqlite"


@pytest.fixture
def accounts(file: Path) -> Accounts:
    """Accounts whose hashing costs nothing."""
    return Accounts(file, Plaintext())


def test_password_is_right_or_wrong_and_an_unknown_name_has_none(accounts: Accounts) -> None:
    assert accounts.register("alice", "sesame")
    assert accounts.verify("alice", "sesame")
    assert not accounts.verify("alice", "Sesame")
    assert not accounts.verify("alice", "")
    assert not accounts.verify("bob", "sesame")


def test_name_is_registered_once_and_the_first_password_stays(accounts: Accounts) -> None:
    assert accounts.register("alice", "first")
    assert not accounts.register("alice", "second")
    assert accounts.verify("alice", "first")
    assert not accounts.verify("alice", "second")


@pytest.mark.parametrize(("name", "other"), [("alice", "a1ice"), ("bob", "b0b"), ("a-b", "a_b")])
def test_name_that_looks_like_anothers_is_not_registered(accounts: Accounts, name: str, other: str) -> None:
    assert accounts.register(name, "x")
    assert not accounts.register(other, "x")
    assert accounts.remove(name)
    assert accounts.register(other, "x")


def test_removed_account_is_gone_and_its_name_is_free(accounts: Accounts) -> None:
    accounts.register("carol", "x")
    assert accounts.has("carol")
    assert accounts.remove("carol")
    assert not accounts.has("carol")
    assert not accounts.verify("carol", "x")
    assert not accounts.remove("carol")
    assert accounts.register("carol", "another")


def test_accounts_survive_a_restart(accounts: Accounts, file: Path) -> None:
    accounts.register("alice", "sesame")
    assert Accounts(file, Plaintext()).verify("alice", "sesame")


def test_stored_hash_has_owasps_parameters_and_a_salt_of_its_own() -> None:
    assert (MEMORY_BYTES, PASSES) == (19 * 1024 * 1024, 2)
    first, second = Argon2id().hash(b"sesame"), Argon2id().hash(b"sesame")
    assert first != second
    assert first.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
    assert b"\0" not in first


def test_stored_hash_is_argon2id_as_another_library_computes_it() -> None:
    stored = Argon2id().hash("sésame".encode())
    salt, digest = (base64.b64decode(part + b"==") for part in stored.split(b"$")[4:])
    assert len(salt) == 16
    again = Independent(salt=salt, length=len(digest), iterations=2, lanes=1, memory_cost=19 * 1024)
    assert again.derive("sésame".encode()) == digest


def test_known_hash_is_verified() -> None:
    stored = b"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cWuC62Npp1nBXMNkBzjIixUw4QZQo9sh5TDOyDQD8nc"
    assert Argon2id().verify(stored, b"sesame")
    assert not Argon2id().verify(stored, b"sesam")


@pytest.mark.parametrize("stored", [b"", b"sesame", b"$argon2id$v=19$m=19456,t=2,p=1$", b"\0" * 32])
def test_what_is_no_hash_is_no_password(stored: bytes) -> None:
    assert not Argon2id().verify(stored, b"sesame")


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Scrypt at the lowest cost, and the costs that were asked for."""
    asked: list[dict[str, int]] = []
    real = hashlib.scrypt

    def cheap(password: bytes, *, salt: bytes, **cost: int) -> bytes:
        asked.append(cost)
        return real(password, salt=salt, n=2, r=8, p=1)

    monkeypatch.setattr(hashlib, "scrypt", cheap)
    return asked


@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_store_passwords_tells_right_from_wrong(file: Path, way: str) -> None:
    accounts = Accounts(file, WAYS[way]())
    accounts.register("alice", "sesame")
    assert accounts.verify("alice", "sesame")
    assert not accounts.verify("alice", "open")
    assert not accounts.verify("bob", "sesame")


@pytest.mark.usefixtures("cheap_scrypt")
def test_salted_ways_store_one_password_twice_differently_and_the_others_do_not() -> None:
    same = {name: way().hash(b"sesame") == way().hash(b"sesame") for name, way in WAYS.items()}
    assert same == {"plaintext": True, "sha256": True, "salted-sha256": False, "scrypt": False}


def test_scrypt_has_owasps_parameters(cheap_scrypt: list[dict[str, int]]) -> None:
    Scrypt().verify(Scrypt().hash(b"sesame"), b"sesame")
    assert cheap_scrypt == [{"n": 2**17, "r": 8, "p": 1, "maxmem": 256 * 1024 * 1024}] * 2
    assert 128 * 2**17 * 8 < 256 * 1024 * 1024  # what that takes (RFC 7914, section 2) fits


def test_any_password_is_right_where_nobody_looks(file: Path) -> None:
    accounts = AnyPassword(file, Plaintext())
    accounts.register("alice", "sesame")
    assert accounts.verify("alice", "anything")


def test_unknown_name_and_wrong_password_are_the_same_work(file: Path) -> None:
    hashing = Counting()
    accounts = Accounts(file, hashing)
    accounts.register("alice", "sesame")
    work = []
    for name, password in (("alice", "sesame"), ("alice", "wrong"), ("nobody", "wrong")):
        hashing.asked.clear()
        accounts.verify(name, password)
        work.append(list(hashing.asked))
    assert work == [["verify"]] * 3


def test_unknown_name_does_not_come_in_even_with_the_password_that_nobody_has(file: Path) -> None:
    hashing = Counting()
    accounts = Accounts(file, hashing)
    hashing.verify = lambda stored, password: True  # type: ignore[method-assign]
    assert not accounts.verify("nobody", "anything")


def test_registering_a_taken_name_is_the_same_work_as_a_free_one(file: Path) -> None:
    hashing = Counting()
    accounts = Accounts(file, hashing)
    hashing.asked.clear()
    accounts.register("alice", "x")
    accounts.register("alice", "x")
    assert hashing.asked == ["hash", "hash"]


def test_nobodys_hash_costs_as_much_as_everybodys(file: Path) -> None:
    accounts = Accounts(file, Argon2id())
    assert accounts._nobody.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("\N{ANGSTROM SIGN}", "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}"),
        ("open sesame", "open\N{NO-BREAK SPACE}sesame"),
        ("open sesame", "open\N{IDEOGRAPHIC SPACE}sesame"),
    ],
)
def test_same_password_from_another_keyboard_is_right(accounts: Accounts, typed: str, again: str) -> None:
    accounts.register("alice", typed)
    assert accounts.verify("alice", again)


@pytest.mark.parametrize(("typed", "again"), [("K", "k"), ("ﬁ", "fi"), ("a b", "ab"), ("x", "x ")])
def test_passwords_that_only_look_alike_are_not_the_same(accounts: Accounts, typed: str, again: str) -> None:
    accounts.register("alice", typed)
    assert not accounts.verify("alice", again)


@given(st.text())
def test_any_text_is_the_same_password_however_it_is_composed(password: str) -> None:
    composed, decomposed = (_normal(unicodedata.normalize(form, password)) for form in ("NFC", "NFD"))
    assert composed == decomposed == _normal(password) == _normal(composed.decode())


def test_file_is_readable_by_its_owner_only_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        accounts = Accounts(file, Plaintext())
    finally:
        os.umask(before)
    accounts.register("alice", "x")
    assert [path.stat().st_mode & 0o777 for path in file.parent.iterdir()] == [0o600]


def refused(file: Path, hashing: Hashing | None = None) -> str:
    """The one sentence that somebody gets who opens this file."""
    with pytest.raises(LabError) as error:
        Accounts(file, hashing or Plaintext())
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_file_that_others_can_read_is_refused(accounts: Accounts, file: Path, mode: int) -> None:
    file.chmod(mode)
    assert refused(file) == f"{file} can be read by others; close it with: chmod 600 {file}"


@pytest.mark.parametrize("damage", ["text", "cut", "zeroes", "noise"])
def test_damaged_file_is_refused(accounts: Accounts, file: Path, damage: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        rows = [(f"name-{number}", f"skeleton-{number}", b"x" * 100) for number in range(200)]
        database.executemany("INSERT INTO accounts VALUES (?, ?, ?)", rows)
    data = file.read_bytes()
    middle = slice(4096, -4096)
    match damage:
        case "text":
            data = b"These are no accounts.\n" * 10
        case "cut":
            data = data[: len(data) // 2]
        case "zeroes":
            data = data[: middle.start] + bytes(len(data[middle])) + data[middle.stop :]
        case "noise":
            data = data[: middle.start] + b"\xa5" * len(data[middle]) + data[middle.stop :]
    file.write_bytes(data)
    sentence = refused(file)
    assert sentence.startswith(f"{file} is no database of accounts (")
    assert sentence.endswith("); move it away and register anew.")


def test_file_of_another_version_is_refused_and_left_as_it_is(accounts: Accounts, file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 2")
    database.close()
    before = file.read_bytes()
    assert refused(file) == f"{file} is of another version of the lab; move it away and register anew."
    assert file.read_bytes() == before


def test_file_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "accounts.sqlite"
    assert refused(file) == f"{file} cannot be used (No such file or directory); choose another folder."


def test_empty_file_that_a_crash_left_is_filled(file: Path) -> None:
    file.touch(0o600)
    assert Accounts(file, Plaintext()).register("alice", "x")


def test_one_of_many_who_want_a_name_at_once_gets_it(accounts: Accounts) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: accounts.register(("alice", "a1ice")[n % 2], f"{n}"), range(24)))
    assert sum(got) == 1
    winner = got.index(True)
    assert accounts.verify(("alice", "a1ice")[winner % 2], f"{winner}")


def test_many_who_register_at_once_are_all_there(accounts: Accounts) -> None:
    names = [f"name-{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: accounts.register(name, name), names))
    assert all(accounts.verify(name, name) for name in names)


REGISTERS_FOR_EVER = """
import itertools, sys
from pathlib import Path
from stages.stage2_hashed_auth.accounts import Accounts
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext
accounts = Accounts(Path(sys.argv[1]), Plaintext())
for number in itertools.count():
    name = f"{sys.argv[2]}-{number}"
    if accounts.register(name, "x" * 200):
        print(name, flush=True)
"""


def test_whoever_was_told_registered_is_there_after_kill_9(file: Path) -> None:
    told: list[str] = []
    for start, lines in (("a", 1), ("b", 40), ("c", 97), ("d", 3)):
        command = [sys.executable, "-c", REGISTERS_FOR_EVER, str(file), start]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout
            told += [child.stdout.readline().decode().strip() for _ in range(lines)]
            child.send_signal(signal.SIGKILL)  # wherever it is: in the middle of a commit, most likely
            told += [line.decode().strip() for line in child.stdout if line.endswith(b"\n")]
    accounts = Accounts(file, Plaintext())
    assert len(told) >= 141
    assert [name for name in told if not accounts.verify(name, "x" * 200)] == []
