"""Guessing passwords: every way of storing them is known by its look, and a guess is hashed as the server hashes it."""

import pytest

from attacks.crack_passwords import costs, guess
from attacks.guesses import common_passwords, duration
from attacks.hashes import ARGON2ID, PLAINTEXT, SALTED_SHA256, SCRYPT, SHA256, Way, way_of
from lab import weak_password
from stages.stage2_hashed_auth.accounts import Argon2id, Hashing
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext, SaltedSha256, Scrypt, Sha256

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
    run = guess(way, {"bob": stored}, ["dragon"])
    assert (run.found, run.hashes) == ({"bob": "dragon"}, 1)
    assert guess(way, {"bob": stored}, ["dragom"]).found == {}


@pytest.mark.parametrize(("hashing", "hashes"), [(Sha256(), 2), (SaltedSha256(), 6)])
def test_salt_makes_every_account_cost_a_hash_of_its_own(hashing: Hashing, hashes: int) -> None:
    accounts = {name: hashing.hash(b"dragon") for name in ("alice", "bob", "carol")}
    run = guess(way_of(accounts["bob"]), accounts, ["monkey", "dragon", "never tried: all are open"])
    assert (run.found, run.hashes) == (dict.fromkeys(accounts, "dragon"), hashes)


def test_guessing_ends_when_it_has_cost_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attacks.crack_passwords.time.process_time", iter([0.0, 0.4, 0.9, 1.1]).__next__)
    run = guess(SHA256, {"bob": Sha256().hash(b"dragon")}, ["one", "two", "three", "dragon"])
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
