"""`make lan`, for real: a LAN that a program keeps, and what another terminal does on its hosts."""

import contextlib
import errno
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dnslib import QTYPE, RD, RR, DNSHeader, DNSQuestion, DNSRecord

import stages
from common import lan_enter
from common.errors import LabError
from common.lan import PLAN, PREFIX, Lan, LanUnavailable
from lab import lan_hosts, lan_tmux, running
from lab.cli import run as lab
from lab.lan_shell import INSTEAD
from lab.lan_verbs import name_line
from lab.running import About
from tests.captures import ALICE, SERVER, udp
from tests.lan.test_lan import descendants, watching
from tests.programs import SECONDS, Program, Terminal

LAB = (sys.executable, "-m", "lab")
LAST_LINE = "Ctrl-C ends the LAN."
ETC = [Path(f"/etc/{name}") for name in ("resolv.conf", "hosts", "nsswitch.conf")]

PING = """
import os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as echo:
    echo.settimeout(10)
    echo.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1) + sys.argv[2].encode(), (sys.argv[1], 0))
    print(echo.recv(1000)[8:].decode())
"""
"""An echo request (RFC 792), for machines without `ping`: python -c PING HOST WORDS."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder for running LANs, of these tests only; its path is short: tmux's socket must fit in 107 bytes."""
    try:
        Lan.build().close()
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")
    with tempfile.TemporaryDirectory(prefix="lan-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        for name in ("LAB_HOST", "LAB_RUNNING", "TMUX"):
            patch.delenv(name, raising=False)
        yield Path(folder)


class Kept:
    """A LAN that `lab lan --no-tmux` keeps."""

    def __init__(self, *words: str) -> None:
        self.program = Program(*LAB, *(words or ("lan",)), "--no-tmux")
        self.said = [self.program.line()]
        while not self.said[-1].endswith(LAST_LINE):
            self.said.append(self.program.line())
        found = re.search(r"LAN ([0-9a-f]{4})\.", self.said[0])
        assert found
        self.id = found[1]

    def ends(self, signalled: int = signal.SIGINT) -> tuple[int, str, str]:
        return self.program.ends(signalled)


@contextlib.contextmanager
def kept(*words: str) -> Iterator[Kept]:
    lan = Kept(*words)
    with lan.program.process as process:
        try:
            yield lan
        finally:
            if process.poll() is None:
                lan.ends()


@pytest.fixture(scope="module")
def there(place: Path) -> Iterator[Kept]:
    """A LAN of stage 1 for the tests that only use it."""
    with kept() as lan:
        yield lan


def on(host: str, *command: str, given: bytes = b"", chosen: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a command on a host of the running LAN."""
    words = ["--lab", chosen] if chosen else []
    return subprocess.run(
        [*LAB, "exec", *words, host, "--", *command], input=given, capture_output=True, timeout=SECONDS, check=False
    )


def ping(source: str, target: str, words: str) -> None:
    done = on(source, sys.executable, "-c", PING, target, words)
    assert (done.returncode, done.stdout.decode().strip()) == (0, words), done.stderr


def echoes(file: Path, words: str) -> int:
    """How many frames of a capture carry these words in an ICMP packet."""
    from scapy.layers.inet import ICMP
    from scapy.utils import rdpcap

    return sum(ICMP in packet and words.encode() in bytes(packet) for packet in rdpcap(str(file)))


# What a host is


def test_host_finds_others_by_name_through_the_labs_own_dns(there: Kept) -> None:
    for name in ("server.lab.test", "server"):
        assert on("alice", "getent", "hosts", name).stdout.split() == [b"10.13.37.10", b"server.lab.test"]
    assert on("alice", "getent", "hosts", "nobody.lab.test").returncode == 2
    assert on("alice", "cat", "/etc/resolv.conf").stdout == b"nameserver 10.13.37.2\nsearch lab.test\n"


def test_machines_own_files_are_untouched(place: Path) -> None:
    before = [(path.stat(), path.read_bytes()) for path in ETC if path.exists()]
    mounts = Path("/proc/self/mounts").read_text()
    with kept() as lan:
        assert [(path.stat(), path.read_bytes()) for path in ETC if path.exists()] == before
        assert Path("/proc/self/mounts").read_text() == mounts
        assert not Path("/run/lab").exists()
        assert on("alice", "ls", "/run", chosen=lan.id).stdout.split()[0] == b"lab"


def test_host_keeps_the_machines_word_about_users(there: Kept) -> None:
    ours = (
        [line for line in ETC[2].read_text().splitlines() if not line.startswith("hosts:")] if ETC[2].exists() else []
    )
    theirs = on("alice", "cat", "/etc/nsswitch.conf").stdout.decode().splitlines()
    if ETC[2].exists():
        assert theirs == [*ours, "hosts: files dns"]
    assert on("alice", "id", "-u").stdout.decode().strip() == str(os.geteuid())


def test_each_host_is_called_by_its_name_and_has_its_own_address(there: Kept) -> None:
    for name, number in PLAN.items():
        done = on(name, "sh", "-c", 'hostname; ip -brief address show eth0; echo "$LAB_HOST"')
        host, card, told = done.stdout.decode().splitlines()
        assert (host, told) == (name, name)
        assert f"{PREFIX}.{number}/24" in card


def test_hosts_files_are_its_own(there: Kept) -> None:
    assert on("bob", "sh", "-c", "echo mine > /run/lab/note").returncode == 0
    assert on("bob", "cat", "/run/lab/note").stdout == b"mine\n"
    assert on("carol", "cat", "/run/lab/note").returncode == 1


def test_command_runs_where_it_was_typed_and_finds_the_lab(there: Kept) -> None:
    assert on("alice", "pwd").stdout.decode().strip() == str(Path.cwd())
    assert on("alice", "lab", "exec", "bob").stderr == (
        b"You are on alice, inside the LAN; type lab exec in the overview or in another terminal.\n"
    )


def test_command_runs_at_the_root_where_its_folder_was_removed(there: Kept, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    enter = [sys.executable, "-I", "-S", lan_enter.__file__, running.chosen(there.id).control, "alice", "pwd"]
    typed = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone), *enter]
    done = subprocess.run(typed, capture_output=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (0, b"/\n"), done.stderr


def test_shell_says_who_and_where_one_is(there: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash: sudo apt install bash")
    with contextlib.closing(Terminal(*LAB, "exec", "alice")) as terminal:
        user = on("alice", "id", "-un").stdout.decode().strip()
        terminal.sees(f"{user}@alice:")
        terminal.types("exit 3\n")
        assert terminal.ends() == 3


# Running a command


def test_exec_ends_as_its_command_ends(there: Kept) -> None:
    assert on("alice", "sh", "-c", "exit 7").returncode == 7
    assert on("alice", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert on("alice", "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    assert on("alice", "true").returncode == 0


def test_exec_passes_every_byte_through(there: Kept) -> None:
    every = bytes(range(256)) * 1000
    assert on("alice", "cat", given=every).stdout == every


def test_exec_of_what_is_no_command_is_one_sentence(there: Kept) -> None:
    done = on("alice", "no-such-command")
    assert (done.returncode, done.stderr) == (127, b"no-such-command: there is no such command here\n")
    assert on("alice", "/etc/passwd").returncode == 126
    no_text = on("alice", os.fsdecode(b"\xff"))
    assert (no_text.returncode, no_text.stderr) == (127, b"\xff: there is no such command here\n")


WAITING = """
import signal, sys
signal.signal(signal.SIG%s, lambda *_: sys.exit(5))
print("waiting", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1"])
def test_exec_passes_signals_on(there: Kept, start: Callable[..., Program], name: str) -> None:
    program = start(*LAB, "exec", "alice", "--", sys.executable, "-c", WAITING % name)
    assert program.line() == "waiting"
    assert program.ends(getattr(signal, f"SIG{name}"))[0] == 5


def test_command_does_not_outlive_an_exec_that_was_killed(there: Kept, start: Callable[..., Program]) -> None:
    program = start(*LAB, "exec", "alice", "--", sys.executable, "-c", WAITING % "TERM")
    assert program.line() == "waiting"
    with watching(descendants(program.process.pid)) as all_ended:
        program.process.kill()
        assert all_ended() == 1


def test_ctrl_c_reaches_the_command_and_only_it(there: Kept, needs: Callable[[str], str]) -> None:
    controlling = (needs("setsid"), "--ctty", "--wait")
    with contextlib.closing(
        Terminal(*controlling, *LAB, "exec", "alice", "--", sys.executable, "-c", WAITING % "INT")
    ) as terminal:
        terminal.sees("waiting")
        terminal.types("\x03")
        assert terminal.ends() == 5


GOING_ON = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
print("BEGUN", flush=True)
signal.sigwait({signal.SIGCONT})
print("GOES ON", flush=True)
print(sys.stdin.readline().upper(), flush=True)
"""


def test_ctrl_z_stops_a_command_and_fg_lets_it_go_on(there: Kept, tmp_path: Path, needs: Callable[[str], str]) -> None:
    controlling = (needs("setsid"), "--ctty", "--wait")
    if not shutil.which("bash"):
        pytest.skip("needs bash: sudo apt install bash")
    (tmp_path / "program.py").write_text(GOING_ON)
    with contextlib.closing(Terminal(*controlling, "bash", "--norc", "--noprofile", "-i")) as terminal:
        terminal.types(f"{' '.join(LAB)} exec alice -- {sys.executable} {tmp_path}/program.py\n")
        terminal.sees("BEGUN")
        terminal.types("\x1a")
        terminal.sees("Stopped")
        terminal.types("fg\n")
        terminal.sees("GOES ON")
        terminal.types("hello again\n")
        terminal.sees("HELLO AGAIN")
        terminal.types("echo over: $?\n")
        terminal.sees("over: 0")
        terminal.types("exit\n")
        assert terminal.ends() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_program_of_roots_can_drop_its_privileges(there: Kept) -> None:
    dropped = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534); print(os.getuid())"
    assert on("eve", sys.executable, "-c", dropped).stdout == b"65534\n"


# Tools between hosts


def test_hosts_reach_each_other_and_the_server_with_nc(there: Kept, needs: Callable[[str], str]) -> None:
    join = b'{"type":"join","name":"mallory","udp_port":9}\n'
    answer = on("mallory", needs("nc"), "-N", "server", "5001", given=join).stdout
    assert b'"name":"mallory","address":"10.13.37.99"' in answer


def test_ping_and_tcpdump_need_no_root(there: Kept, needs: Callable[[str], str], start: Callable[..., Program]) -> None:
    ear = start(*LAB, "exec", "bob", "--", needs("tcpdump"), "-ln", "-i", "eth0", "-c", "1", "icmp")
    assert ear.process.stderr
    heard = b""
    while b"listening on eth0" not in heard:
        assert select.select([ear.process.stderr], [], [], SECONDS)[0], heard
        heard += os.read(ear.process.stderr.fileno(), 4096)
    assert on("alice", needs("ping"), "-c", "1", "bob").returncode == 0
    assert "10.13.37.21 > 10.13.37.22: ICMP echo request" in ear.line()


def listens(capture: Program) -> None:
    """Wait until a capture says so."""
    assert capture.process.stderr
    assert capture.process.stderr.readline() == b"Listening; Ctrl-C ends.\n"


def test_capture_holds_the_ping(there: Kept, tmp_path: Path, start: Callable[..., Program]) -> None:
    file = tmp_path / "bob.pcapng"
    capture = start(*LAB, "capture", "bob", "--write", str(file))
    listens(capture)
    ping("alice", "bob", "are you there?")
    status, said, _ = capture.ends(signal.SIGINT)
    assert status == 0
    assert re.fullmatch(rf"\d+ frames are in {file}\.\n", said)
    assert echoes(file, "are you there?") == 2


@pytest.mark.parametrize("place_of", ["a folder", "a folder where nothing can be made"])
def test_capture_that_cannot_be_written_is_one_sentence(there: Kept, tmp_path: Path, place_of: str) -> None:
    file = str(tmp_path) if place_of == "a folder" else "/proc/alice.pcapng"
    done = subprocess.run(
        [*LAB, "capture", "alice", "--duration", "0.1", "--write", file],
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False), done.stderr
    assert f"{file} cannot be written" in done.stderr.decode()


def test_capture_ends_by_itself_after_a_number_of_frames(there: Kept, start: Callable[..., Program]) -> None:
    capture = start(*LAB, "capture", "bob", "--count", "1")
    listens(capture)
    ping("alice", "bob", "one is enough")
    status, said, _ = capture.ends()
    assert (status, len(said.splitlines())) == (0, 1)


def test_capture_on_a_host_needs_no_name(there: Kept, tmp_path: Path) -> None:
    done = on("eve", "lab", "capture", "--duration", "0.1", "--write", str(tmp_path / "eve.pcapng"))
    assert done.returncode == 0, done.stderr
    assert on("eve", "lab", "capture", "bob").stderr.startswith(b"You are on eve, which hears its own card only;")


def test_listener_hears_others_on_a_hub_and_not_on_a_switch(
    there: Kept, tmp_path: Path, start: Callable[..., Program], capfd: pytest.CaptureFixture[str]
) -> None:
    for kind, heard in (("hub", 2), ("switch", 0), ("hub", 2)):
        assert lab(["become", kind]) == 0
        assert capfd.readouterr().out.startswith(f"The LAN is a {kind} now: ")
        ping("alice", "bob", "so that a switch knows where both are")
        file = tmp_path / "eve.pcapng"
        ear = start(*LAB, "capture", "eve", "--write", str(file))
        listens(ear)
        ping("alice", "bob", "not for eve")
        assert ear.ends(signal.SIGINT)[0] == 0
        assert echoes(file, "not for eve") == heard


def test_dns_shows_who_asks_and_who_answers(there: Kept, start: Callable[..., Program]) -> None:
    program = start(*LAB, "dns")
    assert program.line().endswith("as they cross the wire; Ctrl-C ends.")
    on("carol", "getent", "ahostsv4", "bob.lab.test")
    assert program.lines(2) == [
        "carol asks dns: bob.lab.test, A?",
        "dns answers carol: bob.lab.test, A: 10.13.37.22",
    ]


def test_forged_answer_that_cannot_be_shown_is_passed_over() -> None:
    record = DNSRecord(DNSHeader(qr=1), q=DNSQuestion("bob.lab.test", QTYPE.NAPTR))
    record.add_answer(RR("bob.lab.test", QTYPE.LOC, rdata=RD(bytes.fromhex("00124f10f4143ea3d998ae95fda2354c"))))
    assert name_line(udp(record.pack(), source=(SERVER, 53), target=(ALICE, 999))) == ""


# The stage's programs


@pytest.mark.parametrize("number", list(stages.catalogue()))
def test_members_talk_at_every_stage(place: Path, start: Callable[..., Program], number: int) -> None:
    with kept(f"stage-{number}", "lan") as lan:
        members = []
        for name in ("alice", "bob"):
            members.append(start(*LAB, "exec", "--lab", lan.id, name, "client"))
            while not members[-1].line().startswith("* here: "):
                pass
        alice, bob = members
        while not alice.line().startswith("* bob joined"):
            pass
        alice.types("the door code is 1234")
        while (line := bob.line()) != "alice: the door code is 1234":
            assert line.startswith("* "), line
        alice.types("/quit")
        assert alice.ends()[0] == 0
        again = start(*LAB, "exec", "--lab", lan.id, "alice", "client")  # the account is there already
        while not again.line().startswith("* here: "):
            pass


def test_levers_reach_the_server_and_the_clients(place: Path) -> None:
    with kept("stage-3", "lan", "--levers", "cipher=off") as lan:
        assert "--levers cipher=off" in lan.said[1]
        assert b"--levers cipher=off" in on("alice", "cat", "/run/lab/bin/client", chosen=lan.id).stdout


# Which LAN


def test_without_a_running_lan_the_next_step_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for words in (["exec", "alice"], ["capture", "alice"], ["dns"], ["become", "hub"]):
        assert lab(words) == 2
        assert capsys.readouterr().err == "No LAN of yours is running; start one in another terminal: make lan\n"


def test_unknown_host_is_one_sentence(there: Kept) -> None:
    listed = b"There is no host dave; there are: dns, server, alice, bob, carol, eve, mallory.\n"
    assert (on("dave", "true").returncode, on("dave", "true").stderr) == (2, listed)


def test_of_two_lans_one_is_chosen(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., Program]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with kept() as first:
        with kept("stage-2", "lan") as second:
            said = on("alice", "true").stderr.decode()
            assert said.startswith("2 LANs of yours are running; choose one with --lab: ")
            assert re.search(rf"{first.id} \(stage 1, since \d\d:\d\d\)", said)
            assert re.search(rf"{second.id} \(stage 2, since \d\d:\d\d\)", said)
            for lan, mark in ((first, b"first"), (second, b"second")):
                assert on("alice", "sh", "-c", "cat > /run/lab/note", given=mark, chosen=lan.id).returncode == 0
            assert on("alice", "cat", "/run/lab/note", chosen=first.id).stdout == b"first"
            assert on("alice", "cat", "/run/lab/note", chosen=second.id).stdout == b"second"
            assert on("alice", "true", chosen="none").stderr.startswith(b"No LAN none of yours is running; there are: ")
        assert on("alice", "cat", "/run/lab/note").stdout == b"first"
    assert list(tmp_path.iterdir()) == []


def test_folder_that_others_can_open_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    forged = tmp_path / f"{running.PREFIX}-{os.geteuid()}-dead"
    forged.mkdir(mode=0o700)
    (forged / "about").write_text('{"id": "dead", "stage": 1, "since": "12:00"}')
    forged.chmod(0o755)
    assert running.all_running() == []
    assert forged.is_dir()  # it is not ours to remove
    if os.geteuid() == 0:
        forged.chmod(0o700)
        os.chown(forged, 65534, 65534)
        assert running.all_running() == []
        assert forged.is_dir()


def test_runtime_folder_that_others_can_open_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert running._place() == tmp_path
    tmp_path.chmod(0o777)
    assert running._place() == Path("/tmp")


def test_two_who_clear_up_after_a_dead_lan_take_each_other_for_no_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    left = tmp_path / f"{running.PREFIX}-{os.geteuid()}-dead"
    left.mkdir(mode=0o700)
    (left / "about").write_text('{"id": "dead", "stage": 1, "since": "12:00"}')
    looker = running._lock(left, fcntl.LOCK_SH)
    assert running.all_running() == []
    os.close(looker)
    assert not left.exists()


def test_lan_of_another_version_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for said in ('{"id": "beef", "hosts": 7}', "{", "[]"):
        with running.folder_of_its_own(1, "12:00") as (folder, _):
            (folder / "about").write_text(said)
            assert running.all_running() == []


def test_folder_that_cannot_be_finished_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(LabError, match="is there room"), running.folder_of_its_own(1, "12:00"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_lan_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with running.folder_of_its_own(1, "12:00") as (folder, about):
        assert [found.about for found in running.all_running()] == [about]
        left = tmp_path / f"{running.PREFIX}-{os.geteuid()}-dead"
        shutil.copytree(folder, left)
        left.chmod(0o700)
        assert [found.about for found in running.all_running()] == [about]
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


# The end


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_whatever_ends_the_owner(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., Program], sent: int
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with kept() as lan:
        entered = start(*LAB, "exec", "alice", "--", sys.executable, "-c", WAITING % "USR1")
        assert entered.line() == "waiting"
        listener = start(*LAB, "dns")
        listener.line()
        ours = descendants(lan.program.process.pid) | descendants(entered.process.pid)
        with watching(ours) as all_ended:
            status, _, err = lan.ends(sent)
            assert all_ended() > len(PLAN)
        assert status == (-sent if sent == signal.SIGKILL else 0)
        assert "Traceback" not in err
        assert entered.ends()[0] == -signal.SIGKILL
        assert listener.ends()[1:] == ("The LAN has ended.\n", "")
        assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_server_starts_is_an_ordinary_end(place: Path) -> None:
    command = [*LAB, "lan", "--no-tmux"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as owner:
        until = time.monotonic() + SECONDS
        while not any(b"lan_enter" in _typed(pid) for pid in descendants(owner.pid)):
            assert time.monotonic() < until
        os.killpg(owner.pid, signal.SIGINT)  # as a terminal sends it: to the server too
        said, wrong = owner.communicate(timeout=SECONDS)
    assert (owner.returncode, wrong) == (0, b"")
    assert said.endswith(b"The LAN has ended; nothing of it is left.\n")


def _typed(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_what_cannot_be_wished_is_one_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(["lan", "--no-tmux", "--levers", "luck=on"]) == 2
    assert capsys.readouterr().err.startswith("There is no lever luck here;")
    assert lab(["stage-1", "lan", "--network", "loopback"]) == 2
    assert capsys.readouterr().err == "Shells on hosts need the LAN; leave out NETWORK=.\n"


def test_without_a_lan_it_says_what_is_possible_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert lab(["stage-2", "lan"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "The LAN needs Linux; this machine can use the loopback network. Without a LAN you can still"
    )
    assert INSTEAD.format(n=2) in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_forbidden_namespaces_leave_no_folder(place: Path, needs: Callable[[str], str], tmp_path: Path) -> None:
    forbidding = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        [needs("unshare"), "--user", "--map-root-user", "sh", "-c", forbidding, "sh", *LAB, "lan"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"The LAN needs user namespaces, and .* Without a LAN you can still .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


# The windows


@pytest.fixture
def short_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for one test's running LANs, with a path in which tmux's socket has room."""
    with tempfile.TemporaryDirectory(prefix="lan-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.mark.parametrize("number", list(stages.catalogue()))
def test_overview_fits_on_the_smallest_terminal(number: int) -> None:
    text = lan_tmux.overview(stages.find(number), About("a3f1", number, "12:00"), "C-b")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24 - 3  # the border's title, the prompt, the status line
    assert all(name in text for name in PLAN)


@pytest.mark.parametrize(("outer", "key"), [("", "Ctrl-b d"), ("/tmp/outer,1,0", "Ctrl-a d")])
def test_windows_show_every_host_and_leaving_them_leaves_nothing(
    short_place: Path, needs: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, outer: str, key: str
) -> None:
    needs("tmux")
    if outer:  # started inside a tmux, which keeps its own prefix; and by somebody who may not log in
        monkeypatch.setenv("TMUX", outer)
        monkeypatch.setenv("SHELL", shutil.which("false") or "/bin/false")
    with contextlib.closing(Terminal(*LAB, "lan")) as terminal:
        terminal.sees("Stage 1: Plaintext", f"{key}, or closing this terminal, ends the LAN", "@switch:")
        assert "F1 overview F2 server F3 alice F4 bob F5 carol F6 eve F7 mallory F8 dns" in terminal.rows()[-1]
        terminal.types("\x1bOR")  # F3
        terminal.sees("alice's client", "a shell on alice", "10.13.37.22", "@alice:")
        terminal.types("Hello!\r")
        terminal.sees("alice> Hello!")
        terminal.types("\x1bOS")  # F4
        terminal.sees("alice: Hello!", "@bob:")
        terminal.types("\x1bOQ")  # F2
        terminal.sees("Listening on 10.13.37.10 port 5001")
        terminal.types("\x1b[19~")  # F8
        terminal.sees("as they cross the wire; Ctrl-C ends.")
        terminal.types("\x1bOP")  # F1
        terminal.sees("@switch:")
        terminal.types("clear; lab exec carol getent ahostsv4 bob\r")  # nothing scrolls: pyte knows no CSI S
        terminal.sees("STREAM bob.lab.test")
        terminal.types("\x1b[19~")
        terminal.sees("carol asks dns: bob.lab.test, A?", "dns answers carol: bob.lab.test, A: 10.13.37.22")
        terminal.types("\x1bOQ\x03")  # F2, and Ctrl-C ends the server: its pane stays, with a shell
        terminal.sees("the stage's server", "@server:", "@server:")
        with watching(descendants(terminal.process.pid)) as all_ended:
            terminal.types(("\x01" if outer else "\x02") + "d")
            terminal.sees("The LAN has ended; nothing of it is left.")
            assert terminal.ends() == 0
            assert all_ended() > len(PLAN)
        assert list(short_place.iterdir()) == []


def test_windows_end_with_an_owner_that_was_killed(short_place: Path, needs: Callable[[str], str]) -> None:
    needs("tmux")
    with contextlib.closing(Terminal(*LAB, "lan")) as terminal:
        terminal.sees("ends the LAN: nothing of it stays.", "@switch:")
        with watching(descendants(terminal.process.pid)) as all_ended:
            terminal.process.kill()
            assert all_ended() > len(PLAN)
        assert list(short_place.iterdir()) == []


def test_terminal_that_tmux_cannot_use_is_one_sentence(
    place: Path, needs: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("tmux")
    with contextlib.closing(Terminal("env", "TERM=no-such-terminal", *LAB, "lan")) as terminal:
        terminal.sees("tmux cannot use this terminal; without windows it is: make lan ARGS=--no-tmux")
        assert terminal.ends() == 2


def test_every_host_has_a_window() -> None:
    assert set(lan_tmux.ORDER) == set(PLAN)
    assert set(lan_hosts.PROGRAMS) < set(PLAN)


@pytest.mark.parametrize(
    ("real", "there", "sentence"),
    [
        ("/etc/resolv.conf", True, ""),
        ("/run/systemd/resolve/stub-resolv.conf", False, ""),
        ("/etc/resolv.conf", False, "There is no /etc/resolv.conf, so hosts have addresses and no names; "),
    ],
)
def test_machine_without_a_resolver_file_is_told(
    monkeypatch: pytest.MonkeyPatch, real: str, there: bool, sentence: str
) -> None:
    monkeypatch.setattr("os.path.realpath", lambda path: real)
    monkeypatch.setattr("os.path.exists", lambda path: there)
    assert lan_hosts.unnamed()[: len(sentence)] == sentence
    assert bool(lan_hosts.unnamed()) == bool(sentence)
