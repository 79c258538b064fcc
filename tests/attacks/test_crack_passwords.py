"""Guessing passwords: every way of storing them is known by its look, and a guess is hashed as the server hashes it."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attacks.crack_passwords import costs
from attacks.cracking import on_all_cores, on_one_core
from attacks.guesses import common_passwords, duration
from attacks.hashcat import export
from attacks.hashes import ARGON2ID, PLAINTEXT, SALTED_SHA256, SCRYPT, SHA256, Way, stolen, way_of
from common.errors import LabError
from lab import weak_password
from stages.stage2_hashed_auth.accounts import Argon2id, Hashing
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext, SaltedSha256, Scrypt, Sha256
from tests.programs import Program

WAYS = [
    (Argon2id(), ARGON2ID),
    (Scrypt(), SCRYPT),
    (SaltedSha256(), SALTED_SHA256),
    (Sha256(), SHA256),
    (Plaintext(), PLAINTEXT),
]


@pytest.mark.parametrize(("hashing", "way"), WAYS, ids=[way.name for _, way in WAYS])
def test_guess_is_hashed_as_the_server_does_and_only_the_right_one_fits(hashing: Hashing, way: Way) -> None:
    stored = hashing.hash(b"dragon")
    assert way_of(stored) is way
    run = on_one_core(way, {"bob": stored}, ["dragon"], 9.0)
    assert (run.found, run.hashes) == ({"bob": "dragon"}, 1)
    assert on_one_core(way, {"bob": stored}, ["dragom"], 9.0).found == {}


@pytest.mark.parametrize(("hashing", "hashes"), [(Sha256(), 3), (SaltedSha256(), 9)])
def test_salt_makes_every_account_cost_a_hash_of_its_own(hashing: Hashing, hashes: int) -> None:
    accounts = {name: hashing.hash(b"dragon") for name in ("alice", "bob", "carol")}
    run = on_one_core(way_of(accounts["bob"]), accounts, ["monkey", "dragon", "tried in the same batch"], 9.0)
    assert (run.found, run.hashes) == (dict.fromkeys(accounts, "dragon"), hashes)


def test_guessing_ends_when_it_has_cost_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attacks.cracking.time.process_time", iter([0.0, 0.4, 0.9, 1.1]).__next__)
    monkeypatch.setattr("attacks.cracking.BATCH", 1)
    run = on_one_core(SHA256, {"bob": Sha256().hash(b"dragon")}, ["one", "two", "three", "dragon"], 1.0)
    assert (run.found, run.hashes, run.seconds) == ({}, 3, 1.1)


def test_list_begins_with_the_most_common_and_no_password_is_drawn_from_its_beginning_or_its_end() -> None:
    common = common_passwords()
    assert common[:3] == ["123456", "password", "12345678"]
    assert len(common) == len(set(common)) == 30_000
    drawn = [weak_password.draw() for _ in range(200)]
    assert all(5_000 <= weak_password.rank(password) <= 10_000 for password in drawn)
    assert all(common[weak_password.rank(password) - 1] == password for password in drawn)
    assert weak_password.rank("in no list at all") == 0


def test_costs_say_what_the_salt_is_for() -> None:
    slow, whole, many = costs(ARGON2ID, rate=50.0, fast=2_000_000.0, size=30_000)
    assert slow == "Argon2id: 50 guesses a second, 40,000 times slower than SHA-256"
    assert whole == "the whole list of 30,000 takes 10.0 minutes for one account"
    assert many == "for 1,000 accounts it takes 6.9 days: each has a salt, so each is hashed for anew"
    assert "one hash of a guess is compared with all" in costs(SHA256, 1e6, 2e6, 30_000)[2]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.03, "30 ms"), (1.0, "1.0 s"), (90, "1.5 minutes"), (7200, "2.0 hours"), (86_400, "1.0 days")],
)
def test_time_is_told_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_all_cores_find_what_one_finds_and_share_the_budget() -> None:
    accounts = {name: SaltedSha256().hash(word) for name, word in (("alice", b"dragon"), ("bob", b"monkey"))}
    accounts["carol"] = SaltedSha256().hash(b"in no list")
    words = [*(f"wrong {number}" for number in range(20_000)), "monkey", "dragon"]
    run = on_all_cores(accounts, words, processes=2)
    assert (run.found, run.guesses) == ({"alice": "dragon", "bob": "monkey"}, len(words))
    cut = on_all_cores({"bob": Argon2id().hash(b"in no list")}, words, processes=2, budget=0.1)
    assert cut.guesses < 100
    assert cut.seconds >= 0.1


def test_process_that_guesses_is_gone_when_whoever_started_it_breaks_off() -> None:
    seen: list[int] = []

    def broken_off(_: object) -> None:
        tasks = Path("/proc/self/task").iterdir()
        seen.extend(int(pid) for task in tasks for pid in (task / "children").read_text().split())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_all_cores({"bob": Argon2id().hash(b"in no list")}, ["wrong"] * 100_000, tell=broken_off, processes=2)
    assert len(seen) >= 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen)


def database(folder: Path, **stored: bytes) -> Path:
    file = folder / "accounts.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as made, made:
        made.execute("CREATE TABLE accounts (name TEXT, stored BLOB)")
        made.executemany("INSERT INTO accounts VALUES (?, ?)", stored.items())
    return file


def test_file_is_cracked_by_hand_and_says_what_it_cost(tmp_path: Path, start: Callable[..., Program]) -> None:
    file = database(tmp_path, bob=Sha256().hash(b"dragon"), carol=Sha256().hash(b"in no list at all"))
    program = start(sys.executable, "-m", "lab", "crack", str(file))
    assert program.line() == "bob: dragon"
    assert program.line().startswith("SHA-256: 1 of 2 found, 30,000 hashes in ")


def test_what_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no database")
    with pytest.raises(LabError, match="is no database of accounts"):
        stolen(tmp_path / "notes")
    with pytest.raises(LabError, match="has no accounts"):
        stolen(database(tmp_path))


def test_argon2id_is_not_exported_and_that_is_said(tmp_path: Path) -> None:
    (said,) = export(tmp_path / "out", {"bob": Argon2id().hash(b"dragon")}, ["dragon"])
    assert "no Argon2" in said
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["words.txt"]


@pytest.mark.parametrize(("hashing", "mode"), [(Sha256(), "1400"), (SaltedSha256(), "1420"), (Scrypt(), "8900")])
def test_hashcat_cracks_what_is_exported(
    hashing: Hashing, mode: str, tmp_path: Path, needs: Callable[[str], str]
) -> None:
    needs("hashcat")
    (said,) = export(tmp_path, {"bob": hashing.hash(b"dragon")}, ["123456", "dragon", "monkey"])
    command = said.partition(": ")[2].split()
    assert command[:5] == ["hashcat", "-a", "0", "-m", mode]
    own = ["--potfile-disable", "--quiet", "--session", tmp_path.name, "--outfile", str(tmp_path / "found")]
    done = subprocess.run([*command, *own], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert (tmp_path / "found").exists(), done.stdout + done.stderr
    assert (tmp_path / "found").read_text().rstrip().endswith(":dragon")


def test_by_make_it_is_no_failure_that_nothing_was_found_and_without_a_file_a_sentence_says_what_to_type(
    tmp_path: Path, start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_EXPECT", "1")
    strong = database(tmp_path, carol=Sha256().hash(b"in no list at all"))
    program = start(sys.executable, "-m", "lab", "crack", str(strong))
    assert program.line().startswith("SHA-256: 0 of 1 found")
    assert program.ends()[0] == 0
    says = "Say which database of accounts, as a server keeps it: make crack FILE=accounts.sqlite\n"
    assert start(sys.executable, "-m", "lab", "crack").ends() == (2, "", says)
