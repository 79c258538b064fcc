"""Stage 5's server, where it differs in the text from the stages before: mutants showed that nobody asked it alone."""

from pathlib import Path
from typing import Any

import pytest

from common.session import Close, Send, Work
from stages.stage2_hashed_auth.what_if.password_hash import WAYS
from stages.stage5_box.accounts import Accounts, Login, Register
from stages.stage5_box.box import Say
from stages.stage5_box.server import Server

KEY = bytes(32)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(Accounts(tmp_path / "accounts.sqlite", WAYS["plaintext"]()))


def answers(session: Any, message: Any) -> list[Any]:
    """What comes of a message, slow work done at once."""
    effects = session.received(message)
    if len(effects) == 1 and isinstance(effects[0], Work):
        effects = effects[0].then(effects[0].slow())
    return list(effects)


def enters(server: Server, name: str, password: str = "sesame", kind: Any = Register) -> tuple[Any, list[Any]]:
    session = server.session("127.0.0.1")
    return session, answers(session, kind(name=name, password=password, udp_port=9, public_key=KEY))


def codes(effects: list[Any]) -> list[str]:
    return [effect.message.code for effect in effects if isinstance(effect, Send) and hasattr(effect.message, "code")]


def say(sender: str, to: str) -> Say:
    return Say(sender=sender, to=to, nonce=b"n", ciphertext=b"c")


def test_wrong_password_and_unknown_name_get_one_answer_and_nobody_is_let_in(server: Server) -> None:
    enters(server, "alice")
    for name, password in (("alice", "wrong"), ("nobody", "sesame")):
        session, effects = enters(server, name, password, Login)
        assert codes(effects) == ["wrong-password"]
        assert effects[0].message.reason == "The name or the password is not right."
        assert isinstance(effects[1], Close)
        assert not session.inside


def test_name_that_is_taken_or_looks_like_one_is_refused(server: Server) -> None:
    enters(server, "alice")
    for name in ("alice", "a1ice"):
        assert codes(enters(server, name)[1]) == ["name-taken"]


def test_right_password_replaces_the_older_session_which_is_told(server: Server) -> None:
    older, _ = enters(server, "alice")
    newer, effects = enters(server, "alice", kind=Login)
    assert (effects[0].message.code, effects[0].to) == ("replaced", [older])
    assert effects[0].message.reason == "You logged in from somewhere else, so this session ended."
    assert newer.inside
    assert not older.inside


def test_words_before_joining_and_a_second_login_are_refused(server: Server) -> None:
    stranger = server.session("127.0.0.1")
    effects = answers(stranger, say("alice", "bob"))
    assert codes(effects) == ["not-joined"]
    assert '{"type":"login","name":…,"password":…,"udp_port":…,"public_key":…}.' in effects[0].message.reason
    alice, _ = enters(server, "alice")
    again = Login(name="alice", password="sesame", udp_port=9, public_key=KEY)
    assert codes(answers(alice, again)) == ["already-joined"]


def test_server_writes_the_sessions_name_on_what_is_said(server: Server) -> None:
    carol, _ = enters(server, "carol")
    bob, _ = enters(server, "bob")
    (sent,) = answers(carol, say("alice", "bob"))
    assert (sent.message.sender, list(sent.to)) == ("carol", [bob])


def test_others_hear_of_whoever_goes_and_they_do_not(server: Server) -> None:
    alice, _ = enters(server, "alice")
    bob, _ = enters(server, "bob")
    (left,) = bob.disconnected()
    assert (left.message.name, list(left.to)) == ("bob", [alice])
    assert bob.disconnected() == []
