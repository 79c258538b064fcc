"""A disk that is full: a small tmpfs in a mount namespace of the program's own, filled and emptied while it runs."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from common.lan import Lan, LanUnavailable
from stages.stage5_box.box import identity
from tests.faults.conftest import WHOLE
from tests.programs import Program, listening

Start = Callable[..., Program]
ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o "size=$1,mode=700" none "$2" && cd "$2" && shift 2 && exec "$@"'
FILL = (
    'mount -t tmpfs -o "size=$1,mode=700" none "$2" && cd "$2" && shift 2 && head -c 10M /dev/zero >filler; exec "$@"'
)


@pytest.fixture
def small(needs: Callable[[str], str], tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """What stands before a command that is to have a small disk of its own, at `tmp_path / "disk"`."""
    needs("unshare")
    try:
        Lan.build(["server"]).close()
    except LanUnavailable as error:
        pytest.skip(f"needs user namespaces: {error}")
    (tmp_path / "disk").mkdir()

    def before(size: str, *, full: bool = False) -> tuple[str, ...]:
        path = ("env", f"PYTHONPATH={ROOT}")
        script = FILL if full else MOUNT
        return (*("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"), script, "sh", size,
                str(tmp_path / "disk"), *path, sys.executable)  # fmt: skip

    return before


class Disk:
    """The small disk of a program that runs, seen from outside."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.root = Path(f"/proc/{program.process.pid}/root{folder}")

    def fill(self) -> None:
        """Leave not a byte free."""
        with (self.root / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * size)
        assert os.statvfs(self.root).f_bfree == 0

    def empty(self) -> None:
        """Make room again."""
        (self.root / "filler").unlink()


def until(program: Program, words: str) -> str:
    """Read to the line that has these words, and return it."""
    while words not in (line := program.line()):
        pass
    return line


@pytest.mark.parametrize("stage", ["stage2_hashed_auth", "stage5_box"] if WHOLE else ["stage5_box"])
def test_server_on_a_full_disk_refuses_who_registers_serves_the_others_and_goes_on_when_there_is_room(
    start: Start, small: Callable[..., tuple[str, ...]], tmp_path: Path, stage: str
) -> None:
    folder = tmp_path / "disk" / "server"
    server = start(*small("128k"), "-m", f"stages.{stage}.server", "--port", "0", "--folder", str(folder))
    port, disk = listening(server), Disk(server, tmp_path / "disk")
    (tmp_path / "password").write_text("sesame\n")
    ca = tmp_path / "ca.pem"
    if stage == "stage5_box":
        ca.write_bytes((disk.root / "ca" / "ca.pem").read_bytes())

    def comes(name: str, *more: str) -> Program:
        what = ("--name", name, "--server", f":{port}", "--password-file", str(tmp_path / "password"))
        given = ("--ca", str(ca)) if ca.exists() else ()
        folder = ("--folder", tempfile.mkdtemp(dir=tmp_path))  # of a machine of their own
        return start(sys.executable, "-m", f"stages.{stage}.client", *what, *given, *folder, *more)

    alice = comes("alice", "--register")
    until(alice, "here: alice")
    disk.fill()
    for name in ("bob", "carol"):
        refused = until(comes(name, "--register"), "! ")
        assert refused == ("! The server refused: The server could not do that just now; its operator can see why.")
    alice.types("/who")
    assert "here: alice" in alice.line()
    again = comes("alice")  # who has an account needs no room on the disk
    until(again, "here: alice")
    disk.empty()
    until(comes("bob", "--register"), "here: alice")
    database = tmp_path / "copy"
    database.write_bytes((disk.root / "server" / "accounts.sqlite").read_bytes())
    with contextlib.closing(sqlite3.connect(database)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert sorted(opened.execute("SELECT name FROM accounts")) == [("alice",), ("bob",)]
    server.process.kill()
    told = server.ends()[2]
    assert told.startswith(f"! {folder / 'accounts.sqlite'} cannot be used (")
    assert told.endswith("); mend that, and people can come in again.\n")
    assert told.count("\n") == 1


@pytest.fixture
def room(start: Start, tmp_path: Path) -> str:
    """The port of a server of stage 5 on a disk that has room."""
    (tmp_path / "password").write_text("sesame\n")
    return listening(start(sys.executable, "-m", "stages.stage5_box.server", "--port", "0",
                           "--folder", str(tmp_path / "server")))  # fmt: skip


def arguments(tmp_path: Path, port: str, name: str, folder: Path) -> tuple[str, ...]:
    """What a client is started with."""
    secret = ("--password-file", str(tmp_path / "password"), "--ca", str(tmp_path / "ca" / "ca.pem"))
    return ("-m", "stages.stage5_box.client", "--name", name, "--server", f":{port}", *secret, "--folder", str(folder))


def test_client_that_cannot_write_its_key_says_so_and_leaves_no_half_of_it(
    start: Start, small: Callable[..., tuple[str, ...]], tmp_path: Path, room: str
) -> None:
    folder = tmp_path / "disk" / "bob"
    listing = f"import os; print(sorted(os.listdir({str(folder)!r})) if os.path.isdir({str(folder)!r}) else [])"
    words = [*arguments(tmp_path, room, "bob", folder), "--register"]
    program = f"import subprocess, sys; subprocess.run([sys.executable, *{words!r}], stdin=0); {listing}"
    ended = subprocess.run(
        [*small("64k", full=True), "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    complaint = next(line for line in ended.stderr.splitlines() if "filler" not in line and "head:" not in line)
    assert complaint.startswith(str(folder))
    assert os.strerror(errno.ENOSPC) in complaint
    assert "Traceback" not in ended.stderr
    assert ended.stdout.strip() in ("[]", "['lock']")


def test_client_whose_disk_fills_up_ends_with_a_sentence_and_goes_on_another_day(
    start: Start, small: Callable[..., tuple[str, ...]], tmp_path: Path, room: str
) -> None:
    alice = start(sys.executable, *arguments(tmp_path, room, "alice", tmp_path / "alice"), "--register")
    until(alice, "here: alice")
    shell = "import subprocess, sys; [subprocess.run([sys.executable, *sys.argv[1:]]) for _ in sys.stdin]"
    folder = tmp_path / "disk" / "bob"
    desk = start(*small("64k"), "-c", shell, *arguments(tmp_path, room, "bob", folder), "--register")
    desk.types("begin")
    until(desk, "here: alice")
    until(alice, "bob joined")
    disk = Disk(desk, tmp_path / "disk")
    alice.types("before")
    assert desk.line() == "alice: before"
    key = bytes(identity(disk.root / "bob" / "identity"))
    disk.fill()
    alice.types("while the disk is full")
    assert desk.line() == (
        f"! {folder / 'seen.json'} cannot be written (No space left on device); mend that and start again."
    )
    until(alice, "bob left")
    assert {path.name for path in (disk.root / "bob").iterdir()} == {
        *("identity", "lock", "pins.json", "seen.json", "session")
    }
    assert bytes(identity(disk.root / "bob" / "identity")) == key
    disk.empty()


def test_run_whose_folder_cannot_be_written_is_one_sentence_and_leaves_no_half_of_a_file(
    small: Callable[..., tuple[str, ...]],
) -> None:
    program = """
import os, subprocess, sys
done = subprocess.run([sys.executable, "-m", "lab", "stage-1", "sniffer", "--network", "loopback"],
                      capture_output=True, text=True)
left = [os.path.join(folder, name) for folder, _, names in os.walk("runs") for name in names]
print(done.returncode, "Traceback" in done.stderr, done.stderr.strip().count("\\n"), left, repr(done.stderr))
"""
    ended = subprocess.run([*small("20k"), "-c", program], capture_output=True, text=True, timeout=60, check=True)
    status, traceback, more, rest = ended.stdout.split(" ", 3)
    assert (status, traceback, more) == ("2", "False", "0"), ended.stdout
    assert ".part" not in rest
    assert os.strerror(errno.ENOSPC) in rest
