"""Stage 2 by hand: how a password is given and where it never shows, and the classic list of a first chat room."""

import contextlib
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.command_line import chat, password_of
from lab.cli import run
from tests.programs import Program, Terminal, listening

PASSWORD = "correct horse battery staple"
SERVER = (sys.executable, "-m", "stages.stage2_hashed_auth.server")
CLIENT = (sys.executable, "-m", "stages.stage2_hashed_auth.client")

OWN_TERMINAL = ("setsid", "--ctty", "--wait")
"""Makes the terminal the program's own, so that Ctrl-C becomes a signal, as it does for a person."""

Start = Callable[..., Program]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the server keeps its accounts."""
    return tmp_path / "server"


@pytest.fixture
def server(start: Start, data: Path) -> Program:
    """A running server."""
    return start(*SERVER, "--port", "0", "--folder", str(data))


@pytest.fixture
def port(server: Program) -> str:
    """Its port."""
    return listening(server)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file with the password in its first line."""
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nand a remark\n")
    return str(path)


def client(start: Start, port: str, name: str, file: str, *more: str) -> Program:
    """A client with the password from the file."""
    return start(*CLIENT, "--name", name, "--server", f":{port}", "--password-file", file, *more)


@pytest.fixture
def alice(start: Start, port: str, file: str) -> Program:
    """Alice, who has registered and is in."""
    program = client(start, port, "alice", file, "--register")
    assert program.line() == "* here: alice (127.0.0.1)"
    return program


# How a password is given, and where it never shows.


def test_password_from_a_file_registers_and_comes_back(start: Start, port: str, file: str, alice: Program) -> None:
    assert alice.ends() == (0, "", "")
    again = client(start, port, "alice", file)
    assert again.line() == "* here: alice (127.0.0.1)"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nmore"])
@pytest.mark.parametrize("way", ["file", "descriptor"])
def test_password_is_the_first_line_however_it_ends(tmp_path: Path, ending: str, way: str) -> None:
    file = tmp_path / "file"
    file.write_text(PASSWORD + ending, newline="")
    with file.open("rb") as opened:
        given = {"password_file": file, "password_fd": None} if way == "file" else {"password_fd": opened.fileno()}
        options = Namespace(**{"name": "alice", "register": True, "password_file": None, **given})
        assert password_of(options) == (PASSWORD, True)


def test_password_from_standard_input_leaves_what_follows_for_the_room(start: Start, port: str, alice: Program) -> None:
    bob = start(*CLIENT, "--name", "bob", "--server", f":{port}", "--register", "--password-fd", "0")
    bob.types("a password", "hello from a pipe")
    assert alice.lines(2) == ["* bob joined, from 127.0.0.1", "bob: hello from a pipe"]


def test_password_is_in_no_list_of_processes_nor_in_anything_that_is_kept(
    server: Program, alice: Program, data: Path, start: Start, port: str, file: str
) -> None:
    wrong = client(start, port, "alice", file, "--register")
    assert wrong.line() == "! The server refused: The name alice is taken, or looks like one that is."
    wrong.process.wait()
    for program in (server, alice):
        for what in ("cmdline", "environ"):
            assert PASSWORD.encode() not in Path(f"/proc/{program.process.pid}/{what}").read_bytes()
    if Path("/bin/ps").exists():
        assert PASSWORD not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    assert [PASSWORD.encode() in path.read_bytes() for path in data.iterdir()] == [False]
    assert data.stat().st_mode & 0o777 == 0o700
    assert alice.ends() == (0, "", "")
    assert server.ends(signal.SIGINT) == (0, "\n", "")  # nothing was logged


@pytest.fixture
def terminal(port: str, tmp_path: Path, needs: Callable[[str], str]) -> Iterator[Terminal]:
    """Alice's client on a terminal, which has asked whether she has an account."""
    needs("setsid")
    folder = str(tmp_path / "alice")
    with contextlib.closing(
        Terminal(*OWN_TERMINAL, *CLIENT, "--name", "alice", "--server", f":{port}", "--folder", folder)
    ) as terminal:
        terminal.shows("Does alice have an account here? [Y/n]")
        yield terminal


def test_password_from_the_prompt_is_never_echoed(terminal: Terminal) -> None:
    terminal.types("n\r")
    terminal.shows("Choose a password:")
    terminal.types(f"{PASSWORD}\r")
    terminal.shows("Choose a password:", "The same again:")
    terminal.types(f"{PASSWORD}\r")
    terminal.shows("* here: alice (127.0.0.1)", "alice>")
    terminal.types("/quit\r")
    assert terminal.ends() == 0
    assert not any(word in row for row in terminal.rows() for word in PASSWORD.split())


def test_person_logs_in_at_the_prompt(terminal: Terminal, start: Start, port: str, file: str) -> None:
    bob = client(start, port, "bob", file, "--register")
    assert bob.line() == "* here: bob (127.0.0.1)"
    terminal.types("\r")
    terminal.shows("Password:")
    terminal.types("a guess\r")
    assert terminal.ends() == 0
    assert "! The server refused: The name or the password is not right." in terminal.rows()


def test_two_passwords_that_differ_are_one_sentence_and_nothing_is_sent(terminal: Terminal) -> None:
    terminal.types("no\r")
    terminal.shows("Choose a password:")
    terminal.types("one\r")
    terminal.shows("Choose a password:", "The same again:")
    terminal.types("two\r")
    assert terminal.ends() == 1
    assert terminal.rows()[-1] == "The two passwords differ; nothing was sent."


@pytest.mark.parametrize("answered", ["", "y\r"], ids=["first question", "password"])
def test_ctrl_c_at_a_prompt_ends_at_once_and_the_terminal_echoes_again(terminal: Terminal, answered: str) -> None:
    if answered:
        terminal.types(answered)
        terminal.shows("Password:")
    time.sleep(0.3)  # between showing a prompt and reading, Python does not look for signals: no person is so quick
    terminal.types("\x03")
    assert terminal.ends() == 0
    assert not any("Traceback" in row for row in terminal.rows())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "The password cannot be read ([Errno 2] No such file or directory"),
        (b"", "An empty password is none; nothing was sent."),
        (b"\npassword in the second line\n", "An empty password is none; nothing was sent."),
        (b"\xff\xfe\n", "The password cannot be read ('utf-8' codec can't decode"),
    ],
    ids=["no file", "empty", "empty line", "not UTF-8"],
)
def test_password_file_that_has_none_is_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    one_sentence(sentence, "--password-file", str(file))


@pytest.mark.parametrize("number", ["99", "-1", "9" * 20])
def test_file_descriptor_that_is_none_is_one_sentence(number: str) -> None:
    one_sentence("The password cannot be read (", "--password-fd", number)


def test_where_there_is_no_terminal_a_password_must_be_given_otherwise() -> None:
    one_sentence("There is no terminal to ask for a password; give one with --password-file or --password-fd.")


def one_sentence(sentence: str, *arguments: str) -> None:
    """The client says why it cannot start, before it has connected to anything."""
    with pytest.raises(SystemExit) as ended:
        chat("stages.stage2_hashed_auth", ["--name", "alice", *arguments])
    assert str(ended.value.code).startswith(sentence)
    assert "\n" not in str(ended.value.code)


def test_password_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chat("stages.stage2_hashed_auth", ["--name", "alice", "--password", PASSWORD])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_stage_without_passwords_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--register"], ["--password-file", "x"]):
        assert run(["stage-1", "client", "--name", "alice", *option]) == 2
        assert capsys.readouterr().err == ("Stage 1 knows no passwords; leave out REGISTER= and PASSWORD_FILE=.\n")


@pytest.mark.parametrize("register", [["REGISTER=1"], []])
def test_make_passes_on_how_the_password_is_given(register: list[str], needs: Callable[[str], str]) -> None:
    words = ["make", "-n", "stage-2", "client", "NAME=alice", "PASSWORD_FILE=a file", *register]
    recipe = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert '--password-file "$PASSWORD_FILE"' in recipe
    assert ("--register" in recipe) == bool(register)


# The classic list.


def test_classic_list(start: Start, server: Program, port: str, file: str) -> None:
    alice, bob, carol = (client(start, port, "alice", file, "--register"), None, None)
    assert alice.line() == "* here: alice (127.0.0.1)"
    bob = client(start, port, "bob", file, "--register")
    assert bob.line() == "* here: alice (127.0.0.1), bob (127.0.0.1)"
    carol = client(start, port, "carol", file, "--register")
    everybody = "* here: alice (127.0.0.1), bob (127.0.0.1), carol (127.0.0.1)"
    assert carol.line() == everybody  # three register, and each sees the roster
    assert alice.lines(2) == ["* bob joined, from 127.0.0.1", "* carol joined, from 127.0.0.1"]
    assert bob.line() == "* carol joined, from 127.0.0.1"
    for program in (alice, bob):
        program.types("/who")
        assert program.line() == everybody

    alice.types("hello, room")  # the room, and between two
    assert bob.line() == carol.line() == "alice: hello, room"
    bob.types("/whisper alice hello, Alice")
    assert alice.line() == "bob (whispers): hello, Alice"
    alice.types("/to bob hello, Bob")
    assert bob.line() == "alice (to you): hello, Bob"

    taken = client(start, port, "alice", file, "--register")  # a name in use
    assert taken.line() == "! The server refused: The name alice is taken, or looks like one that is."
    wrong = start(*CLIENT, "--name", "alice", "--server", f":{port}", "--password-fd", "0")
    wrong.types("a guess")
    assert wrong.line() == "! The server refused: The name or the password is not right."

    bob.types("/quit")  # away, and back
    assert bob.ends() == (0, "", "")
    assert alice.line() == carol.line() == "* bob left"
    bob = client(start, port, "bob", file)
    assert bob.line() == "* here: alice (127.0.0.1), carol (127.0.0.1), bob (127.0.0.1)"
    assert alice.line() == carol.line() == "* bob joined, from 127.0.0.1"

    guests = [client(start, port, f"guest{n}", file) for n in range(3)]  # slow logins, and nobody waits
    alice.types("still lively?")
    assert bob.line() == carol.line() == "alice: still lively?"
    for guest in guests:
        assert guest.line() == "! The server refused: The name or the password is not right."

    server.types("/remove carol")  # the operator
    assert server.line() == "carol is not here any more."
    assert carol.line() == "! The server refused: The operator removed your account."
    assert alice.line() == bob.line() == "* carol left"
    carol = client(start, port, "carol", file)
    assert carol.line() == "! The server refused: The name or the password is not right."


def test_newer_session_replaces_the_older_which_is_told(start: Start, port: str, file: str, alice: Program) -> None:
    again = client(start, port, "alice", file)
    assert alice.line() == "! The server refused: You logged in from somewhere else, so this session ended."
    assert again.line() == "* here: alice (127.0.0.1)"
    alice.process.wait()
    again.types("/who")
    assert again.line() == "* here: alice (127.0.0.1)"


def test_accounts_survive_kill_9_of_the_server_and_alice_comes_back_by_herself(
    start: Start, server: Program, port: str, alice: Program, data: Path
) -> None:
    server.ends(signal.SIGKILL)
    assert alice.line() == "* The connection ended; connecting again."
    assert listening(start(*SERVER, "--port", port, "--folder", str(data))) == port
    while (line := alice.line()) == "* The connection ended; connecting again.":
        pass
    assert line == "* here: alice (127.0.0.1)"


# The operator's console.


@pytest.mark.parametrize("runtime", ["asyncio", "threads"])
def test_operator_asks_who_is_here_and_removes_somebody(start: Start, data: Path, file: str, runtime: str) -> None:
    levers = ("--levers", f"runtime={runtime}")
    server = start(*SERVER, "--port", "0", "--folder", str(data), *levers)
    port = listening(server)
    server.types("/who", "", "/dance", "/remove Carol!", "/remove")
    help_ = "Here you can type: /who, /remove NAME."
    assert server.lines(5) == [
        "here: nobody",
        "",
        help_,
        "Carol! is no name: names are 1 to 20 of a-z, 0-9, _ and -.",
        help_,
    ]
    alice = client(start, port, "alice", file, "--register", *levers)
    assert alice.line() == "* here: alice (127.0.0.1)"
    server.types("/who", "/remove alice", "/remove nobody")
    gone = ["alice is not here any more.", "nobody is not here any more."]
    assert server.lines(3) == ["here: alice (127.0.0.1)", *gone]
    assert alice.line() == "! The server refused: The operator removed your account."
    again = client(start, port, "alice", file, *levers)
    assert again.line() == "! The server refused: The name or the password is not right."
    assert server.ends(signal.SIGINT) == (0, "\n", "")


@pytest.mark.parametrize("stdin", ["nothing", "closed"])
def test_server_without_a_keyboard_serves(data: Path, start: Start, file: str, stdin: str) -> None:
    redirect = {"nothing": "</dev/null", "closed": "<&-"}[stdin]
    command = f"exec {' '.join(SERVER)} --port 0 --folder '{data}' {redirect}"
    server = start("sh", "-c", command)
    alice = client(start, listening(server), "alice", file, "--register")
    assert alice.line() == "* here: alice (127.0.0.1)"
    assert server.ends(signal.SIGINT)[0] == 0


def test_server_on_a_terminal_says_what_can_be_typed_and_ends_with_ctrl_c(
    data: Path, needs: Callable[[str], str]
) -> None:
    needs("setsid")
    with contextlib.closing(Terminal(*OWN_TERMINAL, *SERVER, "--port", "0", "--folder", str(data))) as terminal:
        terminal.shows("Here you can type: /who, /remove NAME.")
        assert terminal.rows()[0].startswith("Listening on 127.0.0.1 port ")
        terminal.types("/who\r")
        terminal.shows("here: nobody")
        terminal.types("\x03")
        assert terminal.ends() == 0


def test_server_in_the_background_of_a_terminal_is_not_stopped(data: Path, needs: Callable[[str], str]) -> None:
    needs("setsid")
    command = f"set -m; {' '.join(SERVER)} --port 0 --folder '{data}' & read -r _; kill -INT %1; wait %1; echo over: $?"
    with contextlib.closing(Terminal(*OWN_TERMINAL, "bash", "-c", command)) as terminal:
        terminal.shows("Here you can type: /who, /remove NAME.")
        time.sleep(0.2)  # it would be stopped in the moment in which it reads
        terminal.types("\r")
        assert terminal.ends() == 0
        assert terminal.rows()[-1] == "over: 0"
