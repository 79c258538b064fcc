"""The clock is set forward and back, for real programs and for OpenSSL (libfaketime): nothing depends on it but the
dates of certificates, and those survive a day."""

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

import stages
from common.files import read_checked
from stages.stage4_tls import tls as tls4
from stages.stage5_box import tls as tls5
from tests.faults.conftest import WHOLE
from tests.programs import Program, listening
from tests.stage4.test_tls import shake_hands
from tests.stage4.transcript import Clock

SHARED = Path("/dev/shm")
"""Where the library keeps what its programs share."""
LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
DAY, YEAR = datetime.timedelta(days=1), datetime.timedelta(days=400)

Start = Callable[..., Program]


class Wall:
    """The clock on the wall of every program that is started with it, which can be set while they run."""

    def __init__(self, folder: Path, library: str) -> None:
        self.file = folder / "clock"
        self.set(0)
        told = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"}
        told["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"  # clocks that are set are not those that count
        self.command = ("env", *(f"{name}={value}" for name, value in told.items()), sys.executable, "-m")

    def set(self, days: int) -> None:
        """Set it so many days from now."""
        beside = self.file.with_name("clock.new")
        beside.write_text(f"{days:+d}d\n")
        beside.replace(self.file)


@pytest.fixture
def wall(tmp_path: Path, needs: Callable[[str], str]) -> Iterator[Wall]:
    """A clock that can be set; or the test is skipped with the package that has one."""
    beside = Path(needs("faketime")).resolve().parents[1] / "lib"
    library = next((str(found) for found in beside.rglob("libfaketime.so.1")), LIBRARY)
    there = set(SHARED.glob("*faketime*"))
    yield Wall(tmp_path, library)
    for left in set(SHARED.glob("*faketime*")) - there:  # of programs that were killed
        left.unlink(missing_ok=True)


@pytest.mark.parametrize("number", [2, 3, 4, 5] if WHOLE else [5])
def test_clock_that_jumps_a_day_back_and_forth_changes_nothing(
    start: Start, wall: Wall, tmp_path: Path, number: int
) -> None:
    module = f"stages.{stages.find(number).package}"
    (tmp_path / "password").write_text("sesame\n")
    port = listening(start(*wall.command, f"{module}.server", "--port", "0", "--folder", str(tmp_path / "server")))

    def comes(name: str, *more: str) -> Program:
        where = ("--server", f":{port}", "--password-file", str(tmp_path / "password"))
        program = start(
            *wall.command, f"{module}.client", "--name", name, *where, "--folder", str(tmp_path / name), *more
        )
        until(program, "* here: ")
        return program

    alice = comes("alice", "--register")
    sessions, jumps = [b"1"], (-1, 1, 0, -1) if WHOLE else (-1, 1)
    bob = comes("bob", "--register")
    for number_of_jump, days in enumerate(jumps):
        wall.set(days)
        alice.types(f"jump {number_of_jump}")
        until(bob, f"alice: jump {number_of_jump}")
        assert alice.ends()[::2] == (0, "")
        alice = comes("alice")
        sessions += [read_checked(file) for file in (tmp_path / "alice").glob("session")]
        alice.types(f"back from jump {number_of_jump}")
        until(bob, f"alice: back from jump {number_of_jump}")
    assert sessions == [b"1"] + [str(start).encode() for start in range(2, len(jumps) + 2)] * (number > 2)


def until(program: Program, words: str) -> None:
    """Wait for a line that begins so; meanwhile nobody is alarmed."""
    while not (line := program.line()).startswith(words):
        assert not line.startswith("! "), line


@pytest.mark.skipif(not WHOLE, reason="make faults runs it")
def test_authority_that_has_ended_by_a_clock_is_one_sentence_and_all_is_well_when_the_clock_is(
    start: Start, wall: Wall, tmp_path: Path
) -> None:
    module, given = f"stages.{stages.find(4).package}", tmp_path / "given.pem"
    server = start(*wall.command, f"{module}.server", "--port", "0", "--folder", str(tmp_path / "server"))
    port = listening(server)
    given.write_bytes((tmp_path / "ca" / "ca.pem").read_bytes())
    alice = ("--name", "alice", "--register", "--server", f":{port}", "--password-fd", "0", "--ca", str(given))
    wall.set(YEAR.days)
    early = start(*wall.command, f"{module}.client", *alice)
    early.types("sesame")
    _, said, why = early.ends()
    assert said == ""
    assert why.startswith("This is not the server, or somebody is in between: certificate has expired")
    assert why.count("\n") == 1
    wall.set(0)
    program = start(*wall.command, f"{module}.client", *alice)
    program.types("sesame")
    refused_once(program, lambda: start(*wall.command, f"{module}.client", *alice))


def refused_once(program: Program, again: Callable[[], Program]) -> None:
    """The first who comes may still be shown the certificate of the year to come; the second comes in."""
    status, said, _ = program.ends()
    if status == 0:
        assert "here: alice" in said
        return
    second = again()
    second.types("sesame")
    until(second, "* here: alice")


@pytest.mark.parametrize("tls", [tls4, tls5], ids=["stage 4", "stage 5"])
def test_certificate_that_begins_in_the_future_is_made_again(tmp_path: Path, tls: object) -> None:
    made, clock = tls4 if tls is tls4 else tls5, Clock()
    server, authority = tmp_path / "server", tmp_path / "ca"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "datetime", clock)
        clock.days = (
            datetime.datetime.now(datetime.UTC) + YEAR - datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        ).days
        made.renew(server, authority)
    key = (authority / "ca.key").read_bytes()
    context = made.server_context(server, authority)
    shake_hands(context, made.client_context(authority / "ca.pem"))
    now = datetime.datetime.now(datetime.UTC)
    for file in (server / "server.pem", authority / "ca.pem"):
        assert x509.load_pem_x509_certificate(file.read_bytes()).not_valid_before_utc < now - DAY
    assert (authority / "ca.key").read_bytes() == key
    assert os.stat(authority / "ca.key").st_mode & 0o777 == 0o600
