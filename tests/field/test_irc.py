"""IRC's lines and a member's session, in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.session import Close, Send, Show
from lab.field import irc
from lab.field.irc import Line, Session, fields, parsed, written


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"NICK alice\r", Line("NICK", ["alice"])),
        (b"nick alice", Line("NICK", ["alice"])),
        (b"PRIVMSG #lab :two words\r", Line("PRIVMSG", ["#lab", "two words"])),
        (b"PRIVMSG #lab ::) hello", Line("PRIVMSG", ["#lab", ":) hello"])),
        (b"PRIVMSG bob :", Line("PRIVMSG", ["bob", ""])),
        (b":alice!~a@10.13.37.21 JOIN :#lab\r", Line("JOIN", ["#lab"], "alice!~a@10.13.37.21")),
        (b":irc.lab.test 353 bob = #lab :bob @alice", Line("353", ["bob", "=", "#lab", "bob @alice"], "irc.lab.test")),
    ],
)
def test_line_is_taken_apart(raw: bytes, line: Line) -> None:
    assert parsed(raw) == line


@pytest.mark.parametrize(
    "raw", [b"", b"\r", b":alice", b"GET / HTTP/1.1", b'{"type":"join"}', b"\x16\x03\x01\x02", b"12"]
)
def test_bytes_that_are_no_line_of_irc_are_none(raw: bytes) -> None:
    assert parsed(raw) is None
    assert fields(raw) is None


@given(st.binary(max_size=600))
def test_any_bytes_are_a_line_or_none(raw: bytes) -> None:
    line = parsed(raw)
    assert line is None or parsed(written(line)[:-2]) is not None


@given(st.text(min_size=1, max_size=300))
def test_what_somebody_says_is_one_line_whatever_is_in_it(text: str) -> None:
    said = written(Line("PRIVMSG", ["#lab", text.encode(errors="replace").decode()]))
    assert said.endswith(b"\r\n")
    assert len(said) <= irc.LINE_BYTES + 2
    assert not set(said[:-2]) & set(b"\r\n\0")


def test_fields_are_named_for_whoever_reads_along() -> None:
    assert fields(b"OPER alice geheim\r") == {"type": "OPER", "name": "alice", "password": "geheim"}
    assert fields(b":alice!~a@h PRIVMSG #lab :hi\r") == {"type": "PRIVMSG", "from": "alice", "to": "#lab", "text": "hi"}
    assert fields(b":s 433 * alice :in use\r") == {"type": "433", "from": "s", "params": ["*", "alice", "in use"]}


def test_session_says_the_servers_password_first() -> None:
    commands = [e.message for e in Session("alice", "", "geheim").connected() if isinstance(e, Send)]
    assert [line.command for line in commands if isinstance(line, Line)] == ["PASS", "NICK", "USER"]
    assert len(Session("alice").connected()) == 2


def test_session_shows_the_channel_and_private_messages_apart() -> None:
    session = Session("bob")
    assert session.received(Line("PRIVMSG", ["#lab", "hi"], "alice!~a@h")) == [Show("room", "hi", sender="alice")]
    assert session.received(Line("PRIVMSG", ["bob", "hi"], "alice!~a@h")) == [Show("whisper", "hi", sender="alice")]
    assert session.received(Line("PRIVMSG", ["#lab", "from nobody"])) == []


def test_session_says_who_is_there() -> None:
    session = Session("bob")
    assert session.received(Line("353", ["bob", "=", "#lab", "bob @alice"], "s")) == []
    assert session.received(Line("366", ["bob", "#lab", "End"], "s")) == [Show("notice", "here: alice, bob")]


def test_session_that_is_not_let_in_gives_up_and_one_that_was_thrown_out_does_not() -> None:
    session = Session("alice")
    refused = Line("ERROR", ["Access denied: Bad server password"])
    assert session.received(refused)[-1] == Close()
    session.received(Line("001", ["alice", "Welcome"], "s"))
    assert [e.kind for e in session.received(refused) if isinstance(e, Show)] == ["alarm"]
    assert Close() not in session.received(refused)
    assert session.received(Line("433", ["*", "alice", "Nickname already in use"], "s"))[-1] == Close()
