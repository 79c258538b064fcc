"""Stage 1 by hand: the programs as a person starts them, with pipes, with nc, and on a terminal."""

import contextlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.command_line import chat, serve
from tests.programs import Program, Terminal, listening
from tests.room import joining, saying

SERVER = (sys.executable, "-m", "stages.stage1_plaintext.server")
CLIENT = (sys.executable, "-m", "stages.stage1_plaintext.client")
WARNING = "! This stage protects nothing: "


@pytest.fixture
def port(start: Callable[..., Program]) -> str:
    """The port of a running server."""
    return listening(start(*SERVER, "--port", "0"))


@pytest.mark.parametrize("runtime", ["asyncio", "threads"])
def test_two_people_talk_and_whisper(start: Callable[..., Program], runtime: str) -> None:
    levers = ("--levers", f"runtime={runtime}")
    server = start(*SERVER, "--port", "0", *levers)
    port = listening(server)
    alice = start(*CLIENT, "--name", "alice", "--server", f":{port}", *levers)
    assert alice.line() == "* here: alice (127.0.0.1)"
    bob = start(*CLIENT, "--name", "bob", "--server", f"127.0.0.1:{port}", *levers)
    assert bob.line() == "* here: alice (127.0.0.1), bob (127.0.0.1)"
    assert alice.line() == "* bob joined, from 127.0.0.1"
    alice.types("hello", "/to bob psst", b"\xff\xfe", "/whisper bob closer", "/who")
    heard = set(bob.lines(3))  # a whisper takes its own way, and may overtake
    assert heard == {"alice: hello", "alice (to you): psst", "alice (whispers): closer"}
    assert alice.lines(2) == [
        "* That line has bytes that are no text (not UTF-8); it was not sent.",
        "* here: alice (127.0.0.1), bob (127.0.0.1)",
    ]
    bob.types("/quit")
    assert bob.ends() == (0, "", "")
    assert alice.line() == "* bob left"
    assert alice.ends() == (0, "", "")  # the end of what is typed is leaving, too
    assert server.ends(signal.SIGINT) == (0, "\n", "")


def test_taken_name_is_one_sentence(start: Callable[..., Program], port: str) -> None:
    alice = start(*CLIENT, "--name", "alice", "--server", f"127.0.0.1:{port}")
    assert alice.line() == "* here: alice (127.0.0.1)"
    second = start(*CLIENT, "--name", "alice", "--server", f"127.0.0.1:{port}")
    assert second.line() == "! The server refused: The name alice is in use; choose another."
    second.process.wait()
    alice.types("/who")
    assert alice.line() == "* here: alice (127.0.0.1)"


def test_nc_joins_and_speaks_and_forges_alice_with_one_line(
    start: Callable[..., Program], port: str, needs: Callable[[str], str]
) -> None:
    nc = needs("nc")
    bob = start(*CLIENT, "--name", "bob", "--server", f"127.0.0.1:{port}")
    assert bob.line() == "* here: bob (127.0.0.1)"
    mallory = start(nc, "127.0.0.1", port)
    mallory.types('{"type":"join","name":"mallory","udp_port":9}')
    assert mallory.line().startswith('{"type":"roster","members":[{"name":"bob","address":"127.0.0.1","udp_port":')
    mallory.types('{"type":"say","from":"mallory","text":"hi"}', '{"type":"say","from":"alice","text":"send money"}')
    assert bob.lines(3) == ["* mallory joined, from 127.0.0.1", "mallory: hi", "alice: send money"]
    bob.types("to whom?")
    assert mallory.line() == '{"type":"say","from":"bob","text":"to whom?"}'
    mallory.types("oops")
    assert mallory.line().startswith('{"type":"refused","code":"not-json","reason":"')
    assert bob.line() == "* mallory left"


@pytest.mark.parametrize(
    ("runtime", "sentences"),
    [
        (
            "asyncio",
            {
                "* The connection ended; connecting again.",
                "* There is no connection to the server right now; that was not sent.",
            },
        ),
        ("threads", {"! The connection to the server is gone: "}),
    ],
)
def test_server_gone_while_the_client_types_is_said_and_no_crash(
    start: Callable[..., Program], runtime: str, sentences: set[str]
) -> None:
    levers = ("--levers", f"runtime={runtime}")
    server = start(*SERVER, "--port", "0", *levers)
    alice = start(*CLIENT, "--name", "alice", "--server", f":{listening(server)}", *levers)
    assert alice.line() == "* here: alice (127.0.0.1)"
    server.ends(signal.SIGKILL)
    with contextlib.suppress(BrokenPipeError):
        alice.types(*["hello?"] * 20)
    status, out, err = alice.ends()
    assert (status, err) == (0, "")
    assert out
    assert all(any(line.startswith(sentence) for sentence in sentences) for line in out.splitlines())


def test_threads_server_ends_on_ctrl_c_though_a_member_froze_the_room(start: Callable[..., Program]) -> None:
    server = start(*SERVER, "--port", "0", "--levers", "runtime=threads")
    address = ("127.0.0.1", int(listening(server)))
    with socket.create_connection(address) as stalled, socket.create_connection(address) as talker:
        for name, sock in (("mallory", stalled), ("alice", talker)):
            sock.sendall(line(joining(name)))
            assert sock.recv(4096).startswith(b'{"type":"roster"')
        talker.settimeout(0.5)
        with pytest.raises(TimeoutError):  # nobody takes any more of it: the room is frozen
            talker.sendall(line(saying("alice", "x" * 4000)) * 20_000)
        assert server.ends(signal.SIGINT) == (0, "\n", "")


def line(message: dict[str, Any]) -> bytes:
    """A message as bytes."""
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--listen", "127.0.0.300"), 1, "LISTEN= is an IPv4 address such as"),
        (("--listen", "192.0.2.1"), 1, "Cannot listen on 192.0.2.1 port 5001 (Cannot assign requested address);"),
        (("--levers", "framing=odd"), 1, "The lever framing has no setting odd; it has: lines, none."),
        (("--levers", "x=y"), 1, "There is no lever x here; these exist: "),
        (("--port", "65536"), 2, "usage: "),
        (("--port", "-1"), 2, "usage: "),
    ],
)
def test_server_that_cannot_start_says_why_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        serve("stages.stage1_plaintext", arguments)
    said(ended.value, status, sentence, capsys)


def said(ended: SystemExit, status: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence on standard error; Python prints one that `sys.exit` is called with, and then exits with 1."""
    out, err = capsys.readouterr()
    assert out == ""
    assert (ended.code if isinstance(ended.code, int) else 1) == status
    assert (err or str(ended.code)).startswith(sentence)


def test_port_in_use_is_one_sentence(start: Callable[..., Program], port: str) -> None:
    assert start(*SERVER, "--port", port).ends() == (
        1,
        "",
        f"Cannot listen on 127.0.0.1 port {port} (Address already in use); choose another with PORT=.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--name", "Alice!"), 2, "usage: "),
        (("--name", "alice", "--server", "127.0.0.1:x"), 1, "SERVER= is HOST or HOST:PORT"),
        (("--name", "alice", "--server", "127.0.0.1:0"), 1, "SERVER= is HOST or HOST:PORT"),
        (("--name", "alice", "--server", "a..b"), 1, "a..b can be no name of a machine; check SERVER=."),
        (("--name", "alice", "--server", "127.0.0.1:1"), 1, "Cannot reach 127.0.0.1 port 1 (Connection refused);"),
    ],
)
def test_client_that_cannot_start_says_why_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        chat("stages.stage1_plaintext", arguments)
    said(ended.value, status, sentence, capsys)


def test_client_without_a_server_is_one_sentence(start: Callable[..., Program]) -> None:
    assert start(*CLIENT, "--name", "alice", "--server", "127.0.0.1:1").ends() == (
        1,
        "",
        "Cannot reach 127.0.0.1 port 1 (Connection refused); is the server running there?\n",
    )


def test_server_that_others_can_reach_warns_and_one_that_they_cannot_does_not(start: Callable[..., Program]) -> None:
    open_to_all = start(*SERVER, "--port", "0", "--listen", "0.0.0.0")
    listening(open_to_all)
    status, _, err = open_to_all.ends(signal.SIGINT)
    assert status == 0
    assert err.startswith(WARNING)
    assert err.count("\n") == 1
    private = start(*SERVER, "--port", "0")
    listening(private)
    assert private.ends(signal.SIGINT) == (0, "\n", "")


def test_server_takes_as_many_as_it_was_told(start: Callable[..., Program]) -> None:
    server = start(*SERVER, "--port", "0", "--max", "1")
    port = listening(server)
    alice = start(*CLIENT, "--name", "alice", "--server", f":{port}")
    assert alice.line() == "* here: alice (127.0.0.1)"
    bob = start(*CLIENT, "--name", "bob", "--server", f":{port}")
    assert bob.line() == "! The server refused: This server takes 1 connections, and has them; try later."


@pytest.fixture
def alice(port: str) -> Iterator[Terminal]:
    """Alice's client on a terminal."""
    with contextlib.closing(Terminal(*CLIENT, "--name", "alice", "--server", f"127.0.0.1:{port}")) as terminal:
        terminal.shows("* here: alice (127.0.0.1)", "alice>")
        yield terminal


def test_half_typed_line_survives_incoming_messages(start: Callable[..., Program], port: str, alice: Terminal) -> None:
    alice.types("half a sent")
    alice.shows("alice> half a sent")
    bob = start(*CLIENT, "--name", "bob", "--server", f"127.0.0.1:{port}")
    alice.shows("* bob joined, from 127.0.0.1", "alice> half a sent")
    bob.types("hello", "\x1b[2J\x1b[Halice: I resign")
    alice.shows("bob: hello", "bob: �[2J�[Halice: I resign", "alice> half a sent")
    alice.types("ence\r")
    assert bob.lines(2)[1] == "alice: half a sentence"
    alice.shows("alice> half a sentence", "alice>")


def test_long_message_is_wrapped_with_a_mark(start: Callable[..., Program], port: str, alice: Terminal) -> None:
    bob = start(*CLIENT, "--name", "bob", "--server", f"127.0.0.1:{port}")
    bob.types("x" * 75 + "alice: I resign")
    alice.shows("bob: " + "x" * 75, "  ┊ alice: I resign", "alice>")


def test_person_asks_whispers_goes_back_and_leaves(start: Callable[..., Program], port: str, alice: Terminal) -> None:
    alice.types("/help\r")
    alice.shows(
        "* Type to speak to the room. /who: who is here. /to NAME TEXT: to one member, th",
        "  ┊ rough the server. /whisper NAME TEXT: to one member, directly over UDP. /qui",
        "  ┊ t: leave.",
        "alice>",
    )
    bob = start(*CLIENT, "--name", "bob", "--server", f"127.0.0.1:{port}")
    alice.shows("* bob joined, from 127.0.0.1", "alice>")
    alice.types("/who\r")
    alice.shows("* here: alice (127.0.0.1), bob (127.0.0.1)", "alice>")
    alice.types("/whisper bob psst\r")
    assert bob.lines(2)[1] == "alice (whispers): psst"
    alice.shows("alice> /whisper bob psst", "alice>")
    alice.types("\x1b[A")  # arrow up: what was typed before comes back
    alice.shows("alice> /whisper bob psst")
    alice.types("!\r")
    assert bob.line() == "alice (whispers): psst!"
    alice.types("/quit\r")
    assert alice.ends() == 0
    assert bob.line() == "* alice left"
    assert not any("Traceback" in row for row in alice.rows())


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_person_leaves_with_a_key(alice: Terminal, key: str) -> None:
    alice.types(key)
    assert alice.ends() == 0
    assert not any("Traceback" in row or "Error" in row for row in alice.rows())


def test_client_on_a_terminal_comes_back_to_a_server_that_comes_back(start: Callable[..., Program]) -> None:
    server = start(*SERVER, "--port", "0")
    port = listening(server)
    with contextlib.closing(Terminal(*CLIENT, "--name", "alice", "--server", f"127.0.0.1:{port}")) as alice:
        alice.shows("* here: alice (127.0.0.1)", "alice>")
        alice.types("half")
        alice.shows("alice> half")
        server.ends(signal.SIGKILL)
        alice.shows("* The connection ended; connecting again.", "alice> half")
        start(*SERVER, "--port", port)
        alice.shows("* here: alice (127.0.0.1)", "alice> half")
        alice.types("\x03")
        assert alice.ends() == 0
        assert "Traceback" not in " ".join(alice.rows())
