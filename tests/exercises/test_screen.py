"""What a learner reads after a check: each thing once, the hint that helps most, a status that does not cry wolf."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import stages
from lab import hints
from lab.cli import run
from lab.exercise import declared, noted, sealed_how, workspace
from lab.exercise.outcome import Outcome, Result, Status
from lab.exercise.shown import show
from stages.stage3_symmetric import room_key
from stages.stage3_symmetric.room_key import KeyGrant, Say

UNWRITTEN = "Not written yet: RoomKey.seal: a Say with everything filled in (room_key.py, line 182)."


def result(name: str, status: Status, observed: str, helps: str = "") -> Result:
    """A requirement of stage 3, and what came of it."""
    one = declared.exercise(3).find(name)
    return Result(one.id, one.title, status, one.expected, observed, one.property, one.hints[0], "", helps or one.id)


def outcome(*results: Result) -> Outcome:
    """A check with these."""
    return Outcome(3, "work/stage3", results, True, "", "lan", 1.0, "")


@pytest.mark.parametrize(
    ("results", "helps"),
    [
        ([("works", "Bob's screen shows nothing new.")], "works"),
        ([("works", "Bob's screen shows nothing new."), ("data-bound", "`to` was changed.")], "data-bound"),
        ([("works", UNWRITTEN), ("nonce-fresh", UNWRITTEN)], "nonce-fresh"),
        ([("works", UNWRITTEN), ("nonce-fresh", UNWRITTEN), ("derived", "canonical is another.")], "derived"),
    ],
)
def test_last_line_names_the_requirement_that_helps_most(
    results: list[tuple[str, str]], helps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(outcome(*(result(name, "failed", observed) for name, observed in results)))
    assert capsys.readouterr().out.endswith(f"Another hint: .venv/bin/lab stage-3 hint {helps}\n")


def test_last_line_names_the_requirement_whose_matter_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(outcome(result("tag-checked", "failed", "It was sealed without its associated data.", "data-bound")))
    assert capsys.readouterr().out.endswith("hint data-bound\n")


def test_function_that_is_not_written_is_explained_once(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("nonce-fresh", "tag-checked", "data-bound")
    show(outcome(*(result(name, "failed", UNWRITTEN) for name in names)))
    out = capsys.readouterr().out
    assert out.count("a Say with everything filled in") == 1
    assert out.count("This waits for RoomKey.seal, too.") == 2


@pytest.mark.parametrize(
    ("key", "data", "says"),
    [
        (("message", "lobby", "room", "alice"), True, ""),
        (("message", "lobby", "room", "alice"), False, "without its associated data"),
        (("message", "lobby", "room"), True, "under a key that is not bound to the sender"),
        (("message", "lobby", "alice"), False, "not bound to the kind and without its associated data"),
        ((), True, "under the room key itself"),
    ],
)
def test_message_that_was_sealed_otherwise_is_told_how(key: tuple[str, ...], data: bool, says: str) -> None:
    secret, nonce = os.urandom(32), os.urandom(12)
    blank = Say(kind="room", sender="alice", counter=(1, 0), nonce=nonce, ciphertext=b"")
    used = room_key.derive(secret, *key) if key else secret
    sealed = AESGCM(used).encrypt(nonce, b"hello", blank.associated_data() if data else None)
    found = sealed_how.message(secret, Say(kind="room", sender="alice", counter=(1, 0), nonce=nonce, ciphertext=sealed))
    assert found is not None
    assert str(found) == says or (says and says in str(found))


@pytest.mark.parametrize(
    ("names", "says"), [((), sealed_how.NAMES), (("alice", "bob"), "with the two names in the other order")]
)
def test_grant_that_was_wrapped_otherwise_is_told_how(names: tuple[str, ...], says: str) -> None:
    own, holder, nonce = X25519PrivateKey.generate(), X25519PrivateKey.generate(), os.urandom(12)
    public = holder.public_key().public_bytes_raw()
    keys = (own.public_key().public_bytes_raw().hex(), public.hex())
    key = room_key.derive(holder.exchange(own.public_key()), "room key", room_key.ROOM, *names, *keys)
    sealed = AESGCM(key).encrypt(nonce, b"a grant", None)
    answer = KeyGrant(sender="alice", to="bob", public_key=public, nonce=nonce, ciphertext=sealed)
    assert sealed_how.grant(own, answer) == says


def test_check_by_make_succeeds_when_it_ran_to_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_EXPECT", "1")
    folder, _ = workspace.lay_out(stages.find(1))
    assert run(["stage-1", "check", "--requirement", "nobody-there"]) == 0
    assert "0 of 2 requirements are met" in capsys.readouterr().out
    (folder / "client.py").unlink()
    assert run(["stage-1", "check"]) == 2
    assert "there is no client.py in it" in capsys.readouterr().err


def test_hint_that_a_check_has_shown_is_not_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    stage = stages.find(2)
    noted.at(stage, "same-time", hint_shown="")
    assert hints.next_grade(2, "same-time") == 1
    noted.at(stage, "same-time", hint_shown=hints.of(2, "same-time")[0])
    assert hints.next_grade(2, "same-time") == 2
