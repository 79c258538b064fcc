"""Stage 5 by hand: two people with real programs and the lab's own authority, and what is refused before all else."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.stage5_box import tls
from tests.programs import Program, listening

SERVER = (sys.executable, "-m", "stages.stage5_box.server")
CLIENT = (sys.executable, "-m", "stages.stage5_box.client")

Start = Callable[..., Program]


@pytest.fixture
def port(start: Start, tmp_path: Path) -> str:
    """The port of a running server; its authority stands beside its folder."""
    return listening(start(*SERVER, "--port", "0", "--folder", str(tmp_path / "server")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file with the password."""
    path = tmp_path / "password"
    path.write_text("sesame\n")
    return str(path)


def client(start: Start, port: str, file: str, name: str, *more: str) -> Program:
    """A client; it keeps its files where --folder says."""
    return start(*CLIENT, "--name", name, "--server", f":{port}", "--password-file", file, *more)


def fails(*arguments: str) -> str:
    """The one sentence with which a client does not start."""
    ended = subprocess.run(
        [*CLIENT, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=15, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    return ended.stderr.strip()


def usual(port: str, file: str, folder: Path) -> tuple[str, ...]:
    """What Alice's client is started with."""
    return ("--name", "alice", "--server", f":{port}", "--password-file", file, "--folder", str(folder / "alice"))


def test_two_people_meet_compare_and_talk_and_know_each_other_again(
    start: Start, port: str, file: str, tmp_path: Path
) -> None:
    alice = client(start, port, file, "alice", "--register", "--folder", str(tmp_path / "alice"))
    assert alice.line() == "* here: alice (127.0.0.1)"
    ca = shutil.copy(tmp_path / "ca" / "ca.pem", tmp_path / "given.pem")  # out of band
    bobs = ("--folder", str(tmp_path / "elsewhere" / "bob"), "--ca", str(ca))
    bob = client(start, port, file, "bob", "--register", *bobs)
    met, number, here = bob.lines(3)
    assert met == "* First contact with alice. Their safety number with you:"
    assert here == "* here: alice (127.0.0.1), bob (127.0.0.1)"
    assert alice.lines(3)[2] == number
    assert len(number) <= 80
    alice.types("/verify bob same", "hello", "/whisper bob psst")
    assert alice.line() == "* bob's key is verified"
    assert {bob.line(), bob.line()} == {"alice: hello", "alice (whispers): psst"}
    assert bob.ends() == (0, "", "")
    assert alice.line() == "* bob left"
    again = client(start, port, file, "bob", *bobs)
    assert again.line() == here
    assert alice.line() == "* bob joined, from 127.0.0.1"
    again.types("back")
    assert alice.line() == "bob: back"
    kept = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "alice").iterdir()}
    assert set(kept) == {"identity", "lock", "pins.json", "seen.json", "session"}
    assert set(kept.values()) == {0o600}

    # A second client on Alice's folder does not start, and she is not disturbed.
    folder = tmp_path / "alice"
    said = fails(*usual(port, file, tmp_path))
    assert said == (
        f"{folder} cannot be used (a client that runs already uses it); end that client, or choose another folder."
    )
    again.types("still there?")
    assert alice.line() == "bob: still there?"
    assert alice.ends() == (0, "", "")


def test_folder_is_another_for_every_server_and_every_name(start: Start, port: str, file: str, tmp_path: Path) -> None:
    ca = ("--ca", str(tmp_path / "ca" / "ca.pem"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        alice = client(start, port, file, "alice", "--register", *ca)
        assert alice.line() == "* here: alice (127.0.0.1)"
        second = listening(start(*SERVER, "--port", "0", "--folder", str(tmp_path / "server2")))
        there = client(start, second, file, "alice", "--register", *ca)  # not hindered by the one that runs
        assert there.line() == "* here: alice (127.0.0.1)"
    folders = list((tmp_path / "data" / "progressive-security-lab" / "stage5_box").iterdir())
    assert {folder.name for folder in folders} == {f"alice@127.0.0.1-{port}", f"alice@127.0.0.1-{second}"}
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert len({(folder / "identity").read_text() for folder in folders}) == 2


@pytest.mark.parametrize("runtime", ["asyncio", "threads"])
def test_wrong_authority_is_one_sentence(port: str, file: str, tmp_path: Path, runtime: str) -> None:
    tls.renew(tmp_path / "other" / "server", tmp_path / "other" / "ca")
    arguments = usual(port, file, tmp_path)
    said = fails(*arguments, "--ca", str(tmp_path / "other" / "ca" / "ca.pem"), "--levers", f"runtime={runtime}")
    assert said.startswith("This is not the server, or somebody is in between: ")
    assert said.endswith(" Nothing was sent.")


def test_authority_that_is_none_is_one_sentence(port: str, file: str, tmp_path: Path) -> None:
    arguments = usual(port, file, tmp_path)
    assert fails(*arguments, "--ca", file).endswith("; give the server's ca.pem with CA=.")


def test_damaged_file_in_the_folder_is_one_sentence(port: str, file: str, tmp_path: Path) -> None:
    folder = tmp_path / "alice"
    folder.mkdir()
    (folder / "pins.json").write_text("{")
    said = fails(*usual(port, file, tmp_path))
    assert said.startswith(f"{folder / 'pins.json'} is damaged")
