"""Attacks on a stage that somebody runs by hand: what is said of them is what happened."""

import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli import run
from tests.fuzz.endless import CORPUS
from tests.programs import Program, listening

Start = Callable[..., Program]


def serve(start: Start, stage: str, folder: Path) -> str:
    """A stage's server; its port."""
    command = (sys.executable, "-m", f"stages.{stage}.server", "--port", "0", "--folder", str(folder))
    return listening(start(*command))


def test_impersonation_that_was_refused_does_not_say_that_it_spoke(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"127.0.0.1:{serve(start, 'stage2_hashed_auth', tmp_path)}"
    assert run(["stage-2", "impersonation", "--target", target]) == 0  # a free name: an account is made for it
    assert "It joined as alice and said: Bob, please send 100" in capsys.readouterr().out
    assert run(["stage-2", "impersonation", "--target", target]) == 0
    told = capsys.readouterr().out
    assert "Mallory's screen: The server refused: The name alice is taken" in told
    assert "It gave the name alice, and was not let in.\n" in told
    assert "please send" not in told


def test_man_in_the_middle_by_hand_says_that_the_path_is_given_and_not_taken(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"127.0.0.1:{serve(start, 'stage1_plaintext', tmp_path)}"
    assert run(["stage-1", "mitm", "--target", target, "--duration", "0.01"]) == 0
    rows = capsys.readouterr().out.splitlines()
    given = "By hand there is no LAN and no ARP: whoever starts a client with Mallory's address gives her the path."
    assert rows.index(given) < next(i for i, row in enumerate(rows) if row.startswith("Start the clients with SERVER="))
    assert run(["stage-1", "impersonation", "--target", target]) == 0
    assert "ARP" not in capsys.readouterr().out


def test_spoofed_whisper_can_be_aimed_at_a_client_run_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as bob:
        bob.bind(("127.0.0.1", 0))
        bob.settimeout(10)
        assert run(["stage-1", "spoofed_whisper", "--target", f"127.0.0.1:{bob.getsockname()[1]}"]) == 0
        assert json.loads(bob.recv(2000))["from"] == "alice"
    assert "There is no referee outside the bench" in capsys.readouterr().out


def test_spoofed_whisper_says_whose_address_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-1", "spoofed_whisper", "--target", "127.0.0.1"]) == 2
    assert "TARGET=127.0.0.1:PORT, with the UDP port that the roster says." in capsys.readouterr().err
    assert run(["stage-1", "spoofed_whisper", "--help"]) == 0
    assert "HOST:PORT of Bob's client (UDP)" in " ".join(capsys.readouterr().out.split())


def test_server_prints_no_traceback_where_a_stranger_asks_for_a_name_that_is_not_ascii(
    start: Start, tmp_path: Path
) -> None:
    server = start(
        sys.executable, "-m", "stages.stage4_tls.server", "--port", "0", "--folder", str(tmp_path / "server")
    )
    port = int(listening(server))
    hello = next((CORPUS / "sockets-4").iterdir()).read_bytes()[1:]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
        stranger.sendall(hello)
        assert stranger.recv(100)[:1] in (b"", b"\x15")  # the end, or an alert before it: no handshake goes on
    assert "Traceback" not in server.ends(signal.SIGINT)[2]
