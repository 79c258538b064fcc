"""Stage 3 by hand under `key_exchange=passphrase`: how the passphrase is given, and what is said where it is not."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.command_line import chat
from lab.cli import run
from tests.programs import Program, Terminal, listening

PASSPHRASE = "green eggs and ham"
SERVER = (sys.executable, "-m", "stages.stage3_symmetric.server")
CLIENT = (sys.executable, "-m", "stages.stage3_symmetric.client")
LEVER = ("--levers", "key_exchange=passphrase")

Start = Callable[..., Program]


@pytest.fixture
def port(start: Start, tmp_path: Path) -> str:
    """The port of a running server; the lever is not the server's."""
    return listening(start(*SERVER, "--port", "0", "--folder", str(tmp_path / "server")))


@pytest.fixture
def password(tmp_path: Path) -> str:
    """A file with a password."""
    return written(tmp_path / "password", "sesame\n")


@pytest.fixture
def passphrase(tmp_path: Path) -> str:
    """A file with the passphrase in its first line."""
    return written(tmp_path / "passphrase", f"{PASSPHRASE}\nand a remark\n")


def written(path: Path, text: str) -> str:
    """Its name."""
    path.write_text(text)
    return str(path)


def client(start: Start, port: str, password: str, name: str, *more: str) -> Program:
    """A client that makes an account."""
    return start(*CLIENT, "--name", name, "--server", f":{port}", "--register", "--password-file", password, *more)


@pytest.mark.parametrize("runtime", ["asyncio", "threads"])
def test_members_who_were_told_the_passphrase_talk_and_others_read_nothing(
    start: Start, port: str, password: str, passphrase: str, tmp_path: Path, runtime: str
) -> None:
    told = ("--levers", f"key_exchange=passphrase runtime={runtime}", "--passphrase-file")
    alice = client(start, port, password, "alice", *told, passphrase)
    assert alice.line() == "* here: alice (127.0.0.1)"
    bob = client(start, port, password, "bob", *told, passphrase)
    assert bob.line() == "* here: alice (127.0.0.1), bob (127.0.0.1)"
    carol = client(start, port, password, "carol", *told, written(tmp_path / "other", "green ham"))
    assert carol.line() == "* here: alice (127.0.0.1), bob (127.0.0.1), carol (127.0.0.1)"
    assert alice.lines(2) == ["* bob joined, from 127.0.0.1", "* carol joined, from 127.0.0.1"]
    assert bob.line() == "* carol joined, from 127.0.0.1"
    alice.types("hello", "/whisper bob psst")
    assert {bob.line(), bob.line()} == {"alice: hello", "alice (whispers): psst"}
    assert carol.line() == "! Something in alice's name was not sealed with the room key; it was dropped."
    assert PASSPHRASE.encode() not in Path(f"/proc/{alice.process.pid}/cmdline").read_bytes()


def test_password_and_passphrase_are_two_lines_of_standard_input_and_what_follows_is_for_the_room(
    start: Start, port: str, password: str, passphrase: str
) -> None:
    alice = client(start, port, password, "alice", *LEVER, "--passphrase-file", passphrase)
    assert alice.line() == "* here: alice (127.0.0.1)"
    fds = ("--register", "--password-fd", "0", "--passphrase-fd", "0")
    bob = start(*CLIENT, "--name", "bob", "--server", f":{port}", *fds, *LEVER)
    bob.types("a password", PASSPHRASE)
    assert bob.line() == "* here: alice (127.0.0.1), bob (127.0.0.1)"
    bob.types("hello from a pipe")
    assert alice.lines(2) == ["* bob joined, from 127.0.0.1", "bob: hello from a pipe"]


def test_passphrase_from_the_prompt_is_never_echoed(
    port: str, password: str, tmp_path: Path, needs: Callable[[str], str]
) -> None:
    needs("setsid")
    arguments = ("--name", "alice", "--server", f":{port}", "--register", "--password-file", password)
    own_terminal = ("setsid", "--ctty", "--wait")
    with contextlib.closing(
        Terminal(*own_terminal, *CLIENT, *arguments, *LEVER, "--folder", str(tmp_path / "alice"))
    ) as terminal:
        terminal.shows("The room's passphrase:")
        terminal.types(f"{PASSPHRASE}\r")
        terminal.shows("* here: alice (127.0.0.1)", "alice>")
        terminal.types("/quit\r")
        assert terminal.ends() == 0
        assert not any("eggs" in row for row in terminal.rows())


def one_sentence(sentence: str, *arguments: str, stage: str = "stage3_symmetric") -> None:
    """The client says why it cannot start, before it has connected to anything."""
    with pytest.raises(SystemExit) as ended:
        chat(f"stages.{stage}", ["--name", "alice", *arguments])
    assert str(ended.value.code).startswith(sentence)
    assert "\n" not in str(ended.value.code)


@pytest.mark.parametrize("stage", ["stage3_symmetric", "stage4_tls"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "The passphrase cannot be read ([Errno 2] No such file or directory"),
        (b"", "A passphrase has 1 to 256 characters, and this one has 0; nothing was sent."),
        (b"\nin the second line\n", "A passphrase has 1 to 256 characters, and this one has 0; nothing was sent."),
        (b"x" * 257, "A passphrase has 1 to 256 characters, and this one has 257; nothing was sent."),
        (b"\xff\xfe\n", "The passphrase cannot be read ('utf-8' codec can't decode"),
    ],
    ids=["no file", "empty", "empty line", "too long", "not UTF-8"],
)
def test_passphrase_file_that_has_none_is_one_sentence(
    tmp_path: Path, password: str, stage: str, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    given = ("--password-file", password, *LEVER, "--passphrase-file", str(file))
    one_sentence(sentence, *given, stage=stage)


def test_file_descriptor_that_is_none_is_one_sentence(password: str) -> None:
    one_sentence("The passphrase cannot be read (", "--password-file", password, *LEVER, "--passphrase-fd", "99")


def test_where_there_is_no_terminal_a_passphrase_must_be_given_otherwise(password: str) -> None:
    how = "give one with --passphrase-file or --passphrase-fd."
    one_sentence(f"There is no terminal to ask for the room's passphrase; {how}", "--password-file", password, *LEVER)


@pytest.mark.parametrize("given", [("--passphrase-file", "x"), ("--passphrase-fd", "0")])
@pytest.mark.parametrize("levers", [(), ("--levers", "key_exchange=diffie-hellman")])
def test_passphrase_without_the_lever_is_one_sentence_before_anything_is_asked(
    given: tuple[str, ...], levers: tuple[str, ...]
) -> None:
    sentence = "Only key_exchange=passphrase wants a passphrase; turn that lever, or leave the passphrase out."
    one_sentence(sentence, *given, *levers)


def test_passphrase_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chat("stages.stage3_symmetric", ["--name", "alice", *LEVER, "--passphrase", PASSPHRASE])
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 2, 5])
def test_stage_without_the_lever_says_so(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["--passphrase-file", "x"], ["--passphrase-fd", "0"]):
        assert run([f"stage-{number}", "client", "--name", "alice", *given]) == 2
        assert capsys.readouterr().err == f"Stage {number} knows no passphrase; leave out PASSPHRASE_FILE=.\n"


def test_command_hands_the_passphrase_to_the_client(password: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--password-file", password, "--passphrase-file", "no such file", *LEVER]
    assert run(["stage-3", "client", "--name", "alice", *given]) == 2
    assert capsys.readouterr().err.startswith("The passphrase cannot be read ([Errno 2] No such file or directory")


def test_make_passes_on_how_the_passphrase_is_given(needs: Callable[[str], str]) -> None:
    words = ["make", "-n", "stage-3", "client", "NAME=alice", "PASSPHRASE_FILE=a file"]
    recipe = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert '--passphrase-file "$PASSPHRASE_FILE"' in recipe
