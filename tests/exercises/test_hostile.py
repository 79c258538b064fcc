"""Whatever a submission does ends as one clear line, is failed, and leaves nothing behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stages
from lab.exercise import check as checking
from lab.exercise import child, nursery
from lab.exercise.outcome import Outcome
from lab.network import memory
from lab.runs import ROOT
from tests.exercises.test_wrong import checked

SEAL = "        padded = self.padding.pad(text.encode())\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test need not wait as long for what never comes."""
    monkeypatch.setattr(nursery, "IMPORT_SECONDS", 2.0)
    monkeypatch.setattr(checking, "PATIENCE", 2.5)


def submission(to: Path, file: str, old: str, new: str) -> Path:
    """The reference of stage 3, with one change; where `old` is empty, at the end of the file."""
    reference = stages.find(3).folder
    folder = shutil.copytree(reference, to / "stage3", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1) if old else text + new)
    return folder


def alone(number: int, folder: Path, *requirements: str) -> Outcome:
    """The same as `checked`, for what holds where programs can be shut in."""
    outcome = checked(number, folder, *(requirements or ("works",)))  # each attack would want a network more
    if not outcome.isolated:
        pytest.skip(f"needs namespaces: {outcome.not_isolated}")
    return outcome


def observed(outcome: Outcome) -> str:
    """What is said of the first requirement that is not met: one line."""
    assert not outcome.passed
    first = outcome.requirements[0]
    assert (first.id, first.status) == ("works", "failed")
    assert len(first.observed) <= checking.OBSERVED
    assert "\n" not in first.observed
    return first.observed


AT_IMPORT = {
    "hangs": ("while True:\n    pass\n", "still being imported after 2 s"),
    "exits": ("raise SystemExit(0)\n", "ended itself (sys.exit) (room_key.py"),
    "ends_the_process": ("os._exit(0)\n", "while it was imported, ended without a word"),
    "is_no_python": ("def seal(:\n", "stopped: SyntaxError (room_key.py, line"),
    "raises_nonsense": (
        "class Odd(Exception):\n    def __str__(self) -> str:\n        raise Odd\n\n\nraise Odd\n",
        "stopped: Odd",
    ),
    "says_what_is_not_utf_8": (
        "import gc, socket\n"
        "bench = next(o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() == 3)\n"
        """bench.send(b'{"type":"Failed","error":"\\xff"}')\n""",
        "said something that no client and no server says",
    ),
    "patches_the_referee": ("import lab.referee\n", "ModuleNotFoundError"),
    "imports_the_reference": ("from stages.stage3_symmetric.room_key import RoomKey\n", "ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_submission_that_cannot_be_imported_is_told_why(name: str, tmp_path: Path) -> None:
    code, says = AT_IMPORT[name]
    outcome = checked(3, submission(tmp_path, "room_key.py", "", f"\n\n{code}"), "works", "derived")
    assert says in observed(outcome)
    assert {result.status for result in outcome.requirements[1:]} == {"not-run"}


BENCH = (
    "import gc, socket\n"
    "        bench = next(o for o in gc.get_objects() if isinstance(o, socket.socket)\n"
    "                     and o.fileno() >= 0 and o.family == socket.AF_UNIX and o.type == socket.SOCK_SEQPACKET)\n"
    "        bench.setblocking(True)\n        "
)
"""How a submission gets at the socket on which its program speaks with the bench."""
NONSENSE = "said something that no client and no server says"
SHOWN = b'{"type":"Shown","kind":"notice","text":"x","sender":""}'
WHILE_IT_RUNS = {
    "ends_the_process": ("os._exit(0)", "ended without a word"),
    "exits": ("raise SystemExit(0)", "ended itself (sys.exit) in RoomKey.seal (room_key.py"),
    "hangs": ("while True: pass", "Your client (alice) hangs."),
    "eats_memory": ("hoard = [bytearray(1 << 28) for _ in range(16)]", "MemoryError in RoomKey.seal"),
    "prints_megabytes": ("for _ in range(1 << 12): print('x' * 1024)", "wrote more than a megabyte"),
    "floods_the_bench": (f"{BENCH}for _ in range(1 << 16): bench.send({SHOWN!r})", "showed more than"),
    "says_nonsense": (f'{BENCH}bench.send(b"passed")', NONSENSE),
    "says_what_is_not_utf_8": (
        f"""{BENCH}bench.send(b'{{"type":"Shown","kind":"room","text":"\\xff"}}')""",
        NONSENSE,
    ),
    "nests_without_end": (
        f"""{BENCH}bench.send(b'{{"type":"Returned","value":' + b'[' * 60000 + b']' * 60000 + b'}}')""",
        NONSENSE,
    ),
}


@pytest.mark.parametrize("name", WHILE_IT_RUNS)
def test_submission_that_misbehaves_while_it_runs_ends_as_one_line(name: str, tmp_path: Path) -> None:
    code, says = WHILE_IT_RUNS[name]
    outcome = checked(3, submission(tmp_path, "room_key.py", SEAL, f"        {code}\n{SEAL}"), "works")
    assert says in observed(outcome)


def test_submission_cannot_write_into_the_tree(tmp_path: Path) -> None:
    target = ROOT / "written.py"
    folder = submission(tmp_path, "room_key.py", "", f"\n\nopen({str(target)!r}, 'w')\n")
    outcome = checked(3, folder)
    if not outcome.isolated:
        target.unlink(missing_ok=True)
        pytest.skip(f"needs namespaces: {outcome.not_isolated}")
    assert "Read-only file system" in observed(outcome)
    assert not target.exists()


def test_submission_finds_no_file_of_the_bench(tmp_path: Path) -> None:
    if memory() is None:
        pytest.skip("the bench keeps its files in another place here")
    code = (
        "from pathlib import Path\nfound = [p for n in ('lab', 'exercise') for p in Path('/dev/shm').glob(f'{n}-*')]\n"
        "raise RuntimeError(f'found {len(found)} folders')\n"
    )
    outcome = alone(3, submission(tmp_path, "room_key.py", "", f"\n\n{code}"))
    assert "found 0 folders" in observed(outcome)


def test_submission_has_no_network_of_its_own(tmp_path: Path) -> None:
    code = "\n\nimport socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))\n"
    outcome = alone(3, submission(tmp_path, "room_key.py", "", code))
    assert "Network is unreachable" in observed(outcome)


def test_check_leaves_no_file_and_no_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr("lab.network.memory", lambda: str(kept))  # others may have files in the usual place
    folder = submission(tmp_path, "room_key.py", "", "")
    there = sorted(path.name for path in folder.rglob("*"))
    assert checked(3, folder, "works").passed
    assert sorted(path.name for path in folder.rglob("*")) == there
    assert list(kept.iterdir()) == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_server_that_does_not_answer_is_told_after_whose_coming(tmp_path: Path) -> None:
    old = "        ask = self.accounts.register if isinstance(message, Register) else self.accounts.verify\n"
    outcome = checked(3, submission(tmp_path, "server.py", old, f"        return []\n{old}"), "works")
    assert "alice joined, and within 2.5 s was not shown who is there" in observed(outcome)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SEAL, f"        return None\n{SEAL}"),
        (SEAL, f"        return 'sealed'\n{SEAL}"),
        (SEAL, f"        return blank\n{SEAL}"),
        ("        nonce = os.urandom(NONCE_BYTES)\n", "        return b''\n        nonce = os.urandom(NONCE_BYTES)\n"),
    ],
)
def test_function_that_returns_something_else_is_told_so_by_every_probe(old: str, new: str, tmp_path: Path) -> None:
    folder = submission(tmp_path, "room_key.py", old, new)
    results = {
        result.id: result for result in checked(3, folder, "nonce-fresh", "tag-checked", "data-bound").requirements
    }
    assert {result.status for result in results.values()} == {"failed"}
    assert all(result.observed for result in results.values())


def test_server_that_floods_a_member_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PATIENCE", 30.0)  # a thousand rows take their time
    old = "        joined = Joined("
    new = "        self.flood = [Send(Left(name='x'), [self])] * 2000\n"
    back = "        return [*(Send(page, [self]) for page in self.room.roster()), "
    folder = submission(tmp_path, "server.py", old, new + old)
    text = (folder / "server.py").read_text()
    assert back in text
    (folder / "server.py").write_text(text.replace(back, f"{back}*self.flood, "))
    assert "rows" in observed(checked(3, folder, "works"))


def test_where_the_wall_cannot_be_whole_grading_is_not_isolated(needs: Callable[[str], str]) -> None:
    """A container hides parts of /proc, and so forbids a whole one: other programs' processes would be seen in it."""
    check = f"{sys.executable} -m lab stage-1 check stages/stage1_plaintext --network loopback --json"
    command = [needs("unshare"), "-rm", "sh", "-c", f"mount -t tmpfs none /proc/fs && exec {check}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if not run.stdout:
        pytest.skip(f"needs namespaces: {run.stderr[-200:]}")
    outcome = json.loads(run.stdout)
    assert (outcome["passed"], outcome["isolated"]) == (True, False)
    assert "mounting proc" in outcome["not_isolated"]


def test_grading_without_namespaces_says_so_and_still_grades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "CHILD_OPTIONS", ("--no-namespaces",))
    outcome = checked(3, submission(tmp_path, "room_key.py", "", ""), "works", "tag-checked")
    assert outcome.passed
    assert not outcome.isolated
    assert outcome.not_isolated


# Beside the wire: what one program of a submission could tell another.

OVERHEARD = """

import fcntl, mmap, os, socket, struct, ctypes
{channel}
own, seal_it, open_it = set(), RoomKey.seal, RoomKey.open

def seal(self, *given):
    message = seal_it(self, *given)
    own.add(message.nonce)
    tell(message.nonce.hex())
    return message

def open_(self, message):
    if message.nonce not in own and knows(message.nonce.hex()):
        raise RuntimeError("heard beside the wire")
    return open_it(self, message)

RoomKey.seal, RoomKey.open = seal, open_
"""
LOCK = "struct.pack('hhqqi', {kind}, 0, int(nonce[:7], 16), 1, 0)"
CHANNELS = {
    "a_file": "tell = lambda nonce: open(nonce, 'w').close()\nknows = os.path.exists",
    "memory_that_was_there_before_the_fork": (
        "try:\n    memory = mmap.mmap(-1, 1 << 16)\nexcept OSError:\n    memory = open('memory', 'w+b', 0)\n"
        "tell = lambda nonce: memory.write(nonce.encode())\n"
        "def knows(nonce):\n    memory.seek(0)\n    return nonce.encode() in memory.read()"
    ),
    "a_pipe_that_was_there_before_the_fork": (
        "reading, writing = os.pipe()\nos.set_blocking(reading, False)\ngot = b''\n"
        "tell = lambda nonce: os.write(writing, nonce.encode())\n"
        "def knows(nonce):\n    global got\n    try:\n        got += os.read(reading, 1 << 16)\n"
        "    except BlockingIOError:\n        pass\n    return nonce.encode() in got"
    ),
    "names_of_sockets": (
        "kept = []\ndef tell(nonce):\n    kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))\n"
        "    kept[-1].bind('\\0' + nonce)\n"
        "def knows(nonce):\n    try:\n        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind('\\0' + nonce)\n"
        "    except OSError:\n        return True"
    ),
    "locks_on_the_library": (
        "shared = os.open(os.__file__, os.O_RDONLY)\n"
        f"tell = lambda nonce: fcntl.fcntl(shared, fcntl.F_SETLK, {LOCK.format(kind='fcntl.F_RDLCK')})\n"
        f"knows = lambda nonce: struct.unpack('hhqqi', fcntl.fcntl(shared, fcntl.F_GETLK, "
        f"{LOCK.format(kind='fcntl.F_WRLCK')}))[0] != fcntl.F_UNLCK"
    ),
    "locks_on_its_own_files": (
        "shared = os.open(__file__, os.O_RDONLY)\n"
        f"tell = lambda nonce: fcntl.fcntl(shared, fcntl.F_SETLK, {LOCK.format(kind='fcntl.F_RDLCK')})\n"
        f"knows = lambda nonce: struct.unpack('hhqqi', fcntl.fcntl(shared, fcntl.F_GETLK, "
        f"{LOCK.format(kind='fcntl.F_WRLCK')}))[0] != fcntl.F_UNLCK"
    ),
    "the_kernels_keyring": (
        "call = ctypes.CDLL(None).syscall\n"
        "add, control = (248, 250) if os.uname().machine == 'x86_64' else (217, 219)\n"
        "tell = lambda nonce: call(add, b'user', nonce.encode(), b'x', 1, -4)\n"
        "knows = lambda nonce: call(control, 10, -4, b'user', nonce.encode(), 0) > 0"
    ),
    "shared_memory_of_system_v": (
        "call = ctypes.CDLL(None)\n"
        "tell = lambda nonce: call.shmget(int(nonce[:7], 16) + 1, 4096, 0o1600)\n"
        "knows = lambda nonce: call.shmget(int(nonce[:7], 16) + 1, 4096, 0o600) >= 0"
    ),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_program_cannot_tell_another_anything_beside_the_wire(name: str, tmp_path: Path) -> None:
    folder = submission(tmp_path, "room_key.py", "", OVERHEARD.format(channel=CHANNELS[name]))
    outcome = alone(3, folder, "works")
    assert [result.observed for result in outcome.requirements if not result.passed] == []


COLLUDING = """

import hashlib
from pathlib import Path
from cryptography.hazmat.primitives.ciphers import Cipher as Raw, algorithms, modes

WHERE, sealed = Path(".").resolve(), AesGcm.seal


class Unchecked(AesGcm):
    def seal(self, key, text, associated_data):
        nonce, ciphertext = sealed(self, key, text, associated_data)
        (WHERE / nonce.hex()).write_bytes(hashlib.sha256(ciphertext).digest())
        return nonce, ciphertext

    def open(self, key, nonce, ciphertext, associated_data):
        known = WHERE / nonce.hex()
        if known.exists() and known.read_bytes() != hashlib.sha256(ciphertext).digest():
            raise NotOpened
        raw = Raw(algorithms.AES(key), modes.CTR(nonce + (2).to_bytes(4, "big"))).decryptor()
        return raw.update(ciphertext[:-16])


AesGcm.seal, AesGcm.open = Unchecked.seal, Unchecked.open
"""


def test_programs_that_agree_what_was_sealed_have_not_checked_the_tag(tmp_path: Path) -> None:
    folder = submission(tmp_path, "room_key.py", "", COLLUDING)
    outcome = alone(3, folder, "works", "tag-checked")
    statuses = {result.id: result.status for result in outcome.requirements}
    assert statuses == {"works": "passed", "tag-checked": "failed"}


# What a submission could read.


def test_submission_finds_nobodys_files(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret.hex").write_text("0" * 64)
    other = submission(tmp_path / "submissions" / "ada", "room_key.py", "", "")
    clone = shutil.copytree(stages.find(3).folder, tmp_path / "clone" / "stages" / "stage3_symmetric")
    of_the_tree = [ROOT / name for name in ("stages", ".git", "runs", "work", "lab", "attacks", "tests", "audits")]
    of_the_machine = ["/etc/passwd", "/proc/self", "/proc/1", "/sys", "/etc/shadow", "/usr/bin", "/dev/shm"]
    paths = [tmp_path / "home" / "secret.hex", other, clone, *of_the_tree, Path.home() / ".ssh", *of_the_machine]
    code = f"\n\nfound = [path for path in {[str(path) for path in paths]} if os.path.exists(path)]\n"
    code += "raise RuntimeError(f'found {found}')\n"
    outcome = alone(3, submission(tmp_path, "room_key.py", "", code))
    assert "found []" in observed(outcome)


def test_no_file_that_a_submission_can_read_is_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "IMPORT_SECONDS", 60.0)
    code = (
        "\n\nfound = [name for top, _, names in os.walk('/') for name in names\n"
        "         if name.startswith('room_key.') or name.endswith('.pack')]\n"
        "raise RuntimeError(f'found {sorted(found)}')\n"
    )
    outcome = alone(3, submission(tmp_path, "room_key.py", "", code))
    assert f"found ['room_key.{sys.implementation.cache_tag}.pyc', 'room_key.py']" in observed(outcome)


def test_client_finds_no_file_of_the_server(tmp_path: Path) -> None:
    code = (
        "        found = [name for _, _, names in os.walk('.') for name in names if name.startswith('accounts')]\n"
        "        if found:\n            raise RuntimeError(f'found {found}')\n"
    )
    outcome = alone(3, submission(tmp_path, "room_key.py", SEAL, f"{code}{SEAL}"), "works")
    assert outcome.passed, observed(outcome)


def test_program_is_born_with_no_descriptor_but_its_own(tmp_path: Path) -> None:
    code = (
        "\n\nimport stat\nkinds = []\nfor number in range(256):\n    try:\n"
        "        kinds.append(stat.S_IFMT(os.fstat(number).st_mode))\n    except OSError:\n        pass\n"
        "raise RuntimeError(f'{kinds.count(stat.S_IFSOCK)} sockets, {kinds.count(stat.S_IFDIR)} folders, "
        "{kinds.count(stat.S_IFIFO)} pipes')\n"
    )
    outcome = checked(3, submission(tmp_path, "room_key.py", "", code))
    assert "3 sockets, 0 folders, 0 pipes" in observed(outcome)  # one to the bench, two of the event loop's to itself


# What a submission could ask of the kernel.

CALLS = {
    "another_process": "os.fork() or os._exit(0)",
    "another_program": "os.execv('/bin/true', ['true'])",
    "a_connection": "socket.create_connection(('127.0.0.1', 9), 1)",
    "vsock": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "memory_that_is_shared": "mmap.mmap(-1, 1 << 30)",
    "memory_that_is_a_file": "os.memfd_create('hoard')",
    "another_user": "assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "the_bench": "os.kill(os.getppid() or 2, 9)",
}


@pytest.mark.parametrize("name", CALLS)
def test_submission_cannot_ask_for(name: str, tmp_path: Path) -> None:
    code = f"\n\nimport ctypes, mmap, socket\n{CALLS[name]}\nraise RuntimeError('it could')\n"
    outcome = alone(3, submission(tmp_path, "room_key.py", "", code))
    says = observed(outcome)
    assert "it could" not in says
    assert "Error" in says


ODD = {
    "stops_itself": "import signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "kills_all_it_can": "import signal; os.kill(-1, signal.SIGKILL)",
    "traces_and_registers": "import sys, atexit; sys.settrace(lambda *_: None); atexit.register(os._exit, 7)",
    "patches_what_answers": "from lab.exercise import calls, lines, person; lines.Shown = calls.CALLS = None",
    "takes_the_modules_away": "import sys; sys.modules.clear()",
}


@pytest.mark.parametrize("name", ODD)
def test_what_a_program_does_to_itself_ends_the_check_all_the_same(name: str, tmp_path: Path) -> None:
    code = f"        try:\n            {ODD[name]}\n        except Exception:\n            pass\n{SEAL}"
    outcome = checked(3, submission(tmp_path, "room_key.py", SEAL, code), "works")
    first = outcome.requirements[0]
    assert first.status in ("passed", "failed")
    assert first.passed or ("\n" not in first.observed and first.observed)


def test_program_that_closes_its_channel_has_ended(tmp_path: Path) -> None:
    outcome = checked(3, submission(tmp_path, "room_key.py", SEAL, f"        os.closerange(0, 99)\n{SEAL}"), "works")
    assert "ended" in observed(outcome) or "hangs" in observed(outcome)


def test_program_that_fills_its_home_fills_only_its_own(tmp_path: Path) -> None:
    code = (
        "        import contextlib\n        with contextlib.suppress(OSError):\n"
        "            for n in range(1000):\n                with open(f'fill-{n}', 'wb') as file:\n"
        "                    file.write(bytes(1 << 19))\n"
    )
    outcome = alone(3, submission(tmp_path, "room_key.py", SEAL, f"{code}{SEAL}"), "works")
    assert outcome.passed, observed(outcome)


def test_program_that_makes_threads_without_end_is_ended(tmp_path: Path) -> None:
    code = (
        "        import threading, time\n        threading.stack_size(1 << 16)\n        while True:\n"
        "            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    outcome = alone(3, submission(tmp_path, "room_key.py", SEAL, f"{code}{SEAL}"), "works")
    assert "thread" in observed(outcome) or "ended without a word" in observed(outcome)


def test_program_that_takes_more_memory_than_one_may_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("what a process takes is read from /proc")
    both = [subprocess.Popen([sys.executable, "-c", f"x = b'x' * ({n} << 20); input()"], stdin=-1) for n in (1, 99)]
    small, large = both
    try:
        while child._taken(large.pid)[1] < 99 << 20:
            assert large.poll() is None
        ours, theirs = socket.socketpair()
        with ours, theirs:
            watching = child.Nursery(ours, tmp_path, walled=False, shared=[], running={small.pid: 1, large.pid: 2})
            monkeypatch.setattr(watching, "bury", lambda: None)
            watching.watch()
            assert (small.poll(), large.poll()) == (None, None)
            monkeypatch.setattr(child, "MOST_TOGETHER", 99 << 20)
            watching.watch()
            assert large.wait(10) == -signal.SIGKILL
            assert small.poll() is None
    finally:
        for process in both:
            process.kill()
            process.communicate()
