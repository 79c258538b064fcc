"""Whatever a submission does ends as one clear line, is failed, and leaves nothing behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import stages
from lab.exercise import check as checking
from lab.exercise import nursery
from lab.exercise.outcome import Outcome
from lab.network import memory
from lab.runs import ROOT
from tests.exercises.test_wrong import checked

SEAL = "        padded = self.padding.pad(text.encode())\n"
MARK = "submission-left-behind"


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
    "ends_the_process": ("os._exit(0)\n", "ended the program while it was imported"),
    "is_no_python": ("def seal(:\n", "stopped: SyntaxError (room_key.py, line"),
    "raises_nonsense": (
        "class Odd(Exception):\n    def __str__(self) -> str:\n        raise Odd\n\n\nraise Odd\n",
        "stopped: Odd",
    ),
    "says_what_is_not_utf_8": (
        "import gc, socket\n"
        "orders = next(o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() >= 0)\n"
        """orders.send(b'{"type":"Failed","error":"\\xff"}')\n""",
        "ended the program while it was imported",
    ),
    "patches_the_referee": ("import lab.referee\n", "ModuleNotFoundError"),
    "imports_the_reference": ("from stages.stage3_symmetric.room_key import RoomKey\n", "ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_submission_that_cannot_be_imported_is_told_why(name: str, tmp_path: Path) -> None:
    code, says = AT_IMPORT[name]
    outcome = checked(3, submission(tmp_path, "room_key.py", "", f"\n\n{code}"))
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
    outcome = checked(3, submission(tmp_path, "room_key.py", "", f"\n\n{code}"))
    if not outcome.isolated:
        pytest.skip(f"needs namespaces: {outcome.not_isolated}")
    assert "found 0 folders" in observed(outcome)


def test_submission_has_no_network_of_its_own(tmp_path: Path) -> None:
    code = "\n\nimport socket\nsocket.create_connection(('127.0.0.1', 9), 1)\n"
    outcome = checked(3, submission(tmp_path, "room_key.py", "", code))
    if not outcome.isolated:
        pytest.skip(f"needs namespaces: {outcome.not_isolated}")
    assert "Network is unreachable" in observed(outcome)


def test_what_a_submission_started_is_ended_with_the_check(tmp_path: Path) -> None:
    sleeper = f"import subprocess\nsubprocess.Popen(['sh', '-c', 'exec sleep 600 # {MARK}'], start_new_session=True)\n"
    outcome = checked(3, submission(tmp_path, "room_key.py", "", f"\n\n{sleeper}"), "works")
    if not outcome.isolated:
        pytest.skip(f"needs namespaces: {outcome.not_isolated}")
    assert outcome.passed
    there = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert MARK not in there


def test_check_leaves_no_file_and_no_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr(checking, "memory", lambda: str(kept))  # others may have files in the usual place
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


def test_grading_without_namespaces_says_so_and_still_grades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "CHILD_OPTIONS", ("--no-namespaces",))
    outcome = checked(3, submission(tmp_path, "room_key.py", "", ""), "works", "tag-checked")
    assert outcome.passed
    assert not outcome.isolated
    assert outcome.not_isolated
