"""Progress: nothing that was reached is lost, whoever writes, whatever ends them, and whatever the file holds."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import LabError
from lab import progress
from lab.cli import run as lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder for this test alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    progress._say_once.cache_clear()


def kept() -> dict[str, object]:
    """What the file holds, read without the lab."""
    found: dict[str, object] = json.loads(progress.file().read_text())
    return found


def elsewhere(code: str, **environment: str) -> subprocess.Popen[str]:
    """Another program that notes something."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, text=True, stdout=pipe, stderr=pipe)


def test_nothing_is_reached_before_anything_is_noted() -> None:
    assert progress.read() == progress.Progress()
    assert not progress.file().exists()


def test_what_is_noted_is_read_back() -> None:
    progress.note(1, demo=True)
    progress.note(3, attack="sniffer")
    progress.note(3, question="nonce-reuse")
    progress.note(3, question="nonce-reuse", right=True, at="nonce-reuse")
    progress.note(3, hint=("nonce-reuse", 2))
    progress.note(3, hint=("nonce-reuse", 1))
    progress.note(2, exercise="given-up")
    known = progress.read()
    assert known.stage(1).demo
    assert list(known.stage(3).attacks) == ["sniffer"]
    assert known.stage(3).quiz["nonce-reuse"].tries == 2
    assert known.stage(3).quiz["nonce-reuse"].right
    assert known.stage(3).hints == {"nonce-reuse": 2}
    assert list(known.stage(2).exercise) == ["given-up"]
    assert known.at == progress.At(3, "nonce-reuse")


def test_first_time_is_kept() -> None:
    progress.note(1, attack="mitm")
    changed = kept()
    changed["stages"]["1"]["attacks"]["mitm"] = "2001-01-01T00:00:00"  # type: ignore[index]
    progress.file().write_text(json.dumps(changed))
    progress.note(1, attack="mitm")
    assert progress.read().stage(1).attacks == {"mitm": "2001-01-01T00:00:00"}


def test_file_is_for_its_person_alone_and_readable_line_by_line() -> None:
    progress.note(1, demo=True)
    assert stat.S_IMODE(progress.file().stat().st_mode) == 0o600
    assert len(progress.file().read_text().splitlines()) > 5


def test_fields_that_this_version_does_not_know_are_kept() -> None:
    progress.note(1, demo=True)
    changed = kept()
    changed["mood"] = ["good"]
    changed["stages"]["1"]["badge"] = {"gold": True}  # type: ignore[index]
    changed["stages"]["9"] = {"demo": "2030-01-01T00:00:00"}  # type: ignore[index]
    progress.file().write_text(json.dumps(changed))
    progress.note(1, attack="sniffer")
    after = kept()
    assert after["mood"] == ["good"]
    assert after["stages"]["1"]["badge"] == {"gold": True}  # type: ignore[index]
    assert after["stages"]["9"] == {"demo": "2030-01-01T00:00:00"}  # type: ignore[index]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": "one"}',
        b'{"stages": {"1": {"hints": {"a": "b"}}}}',
        b"[" * 5000,
        b" " * (progress.LARGEST + 1),
    ],
)
def test_damaged_file_is_set_aside_and_said_to_be(damage: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    progress.file().parent.mkdir(parents=True)
    progress.file().write_bytes(damage)
    with pytest.raises(LabError, match="is damaged"):
        progress.read()
    progress.note(1, demo=True)
    (aside,) = progress.file().parent.glob("progress.json.damaged-*")
    assert aside.read_bytes() == damage
    assert f"it is kept as {aside.name}" in capsys.readouterr().err
    assert progress.read().stage(1).demo


def test_file_of_a_newer_lab_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress.file().parent.mkdir(parents=True)
    newer = '{"version": 2, "stages": ["another", "shape"]}'
    progress.file().write_text(newer)
    progress.note(1, demo=True)
    assert progress.file().read_text() == newer
    assert "was written by a newer version of the lab" in capsys.readouterr().err
    with pytest.raises(LabError, match="newer"):
        progress.read()


WRITER = """
import sys
from lab import progress
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    progress.note(1, attack=f"{sys.argv[1]}-{number}")
"""


def test_two_runs_that_write_at_once_lose_nothing() -> None:
    command = [sys.executable, "-c", WRITER]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen([*command, name], cwd=ROOT, text=True, stdin=pipe, stdout=pipe) for name in "ab"]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        with writer:
            assert writer.wait(30) == 0
    assert set(progress.read().stage(1).attacks) == {f"{name}-{n}" for name in "ab" for n in range(40)}


KILLED = """
import os, signal
from pathlib import Path
from lab import progress

def die(self, target):
    print(self.read_bytes().decode()[:1], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = die
progress.note(1, attack="second")
"""


def test_run_that_is_killed_while_writing_loses_nothing() -> None:
    progress.note(1, attack="first")
    before = progress.file().read_bytes()
    with elsewhere(KILLED) as program:
        out, _ = program.communicate(timeout=30)
    assert (program.returncode, out) == (-signal.SIGKILL, "{\n"), "it had written the new file and died before the end"
    assert progress.file().read_bytes() == before
    assert len(list(progress.file().parent.glob(".*.part"))) == 1
    progress.note(1, attack="third")
    assert set(progress.read().stage(1).attacks) == {"first", "third"}
    assert not list(progress.file().parent.glob(".*.part"))


NOTES_TWICE = """
from lab import progress
progress.note(1, demo=True)
progress.note(1, attack="sniffer")
print("went on")
"""


def test_home_that_cannot_be_written_is_one_notice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")  # a folder without rights would not stop root
    with elsewhere(NOTES_TWICE, XDG_DATA_HOME=str(tmp_path / "file")) as program:
        out, err = program.communicate(timeout=30)
    assert (program.returncode, out) == (0, "went on\n")
    assert len(err.splitlines()) == 1
    assert "cannot be written (Not a directory). What you reach now is not noted." in err


def test_export_and_import_give_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress.note(1, demo=True, attack="sniffer", question="a", right=True, hint=("b", 3), exercise="passed", at="b")
    assert lab(["progress", "--export", str(tmp_path / "taken.json")]) == 0
    before = kept()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another machine"))
    assert lab(["progress", "--import", str(tmp_path / "taken.json")]) == 0
    assert kept() == before


def test_import_takes_the_best_of_both(tmp_path: Path) -> None:
    ours = {
        "hints": {"a": 1, "b": 3},
        "quiz": {"a": {"tries": 4, "right": "2026-02-02T00:00:00"}},
        "demo": "2026-01-05",
    }
    theirs = {
        "hints": {"a": 2, "b": 1},
        "quiz": {"a": {"tries": 2, "right": "2026-01-01T00:00:00"}, "c": {"tries": 1}},
        "demo": "",
    }
    progress.file().parent.mkdir(parents=True)
    at = {"stage": 1, "id": "ours"}
    progress.file().write_text(json.dumps({"version": 1, "stages": {"1": ours}, "at": at}))
    other = tmp_path / "other.json"
    other.write_text(
        json.dumps({"version": 1, "stages": {"1": theirs, "2": {"demo": "2026"}}, "at": {"stage": 5, "id": "x"}})
    )
    progress.import_from(other)
    found = kept()
    assert found["at"] == at
    assert found["stages"] == {
        "1": {
            "hints": {"a": 2, "b": 3},
            "quiz": {"a": {"tries": 4, "right": "2026-01-01T00:00:00"}, "c": {"tries": 1}},
            "demo": "2026-01-05",
        },
        "2": {"demo": "2026"},
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        (b"nothing", "is no progress file"),
        (b'{"version": 7}', "was written by a newer version of the lab"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence_and_changes_nothing(
    content: bytes | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.note(1, demo=True)
    before = kept()
    if content is not None:
        (tmp_path / "other").write_bytes(content)
    assert lab(["progress", "--import", str(tmp_path / "other")]) == 2
    assert sentence in capsys.readouterr().err
    assert kept() == before


def test_map_has_a_row_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    progress.note(2, attack="sniffer")
    progress.note(2, attack="an attack that the lab no longer has")
    progress.note(1, demo=True)
    progress.note(2, exercise="given-up")
    assert lab(["progress"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("stage 1  demo seen  attacks 0/")
    assert rows[1].startswith("stage 2  demo -  attacks 1/")
    assert rows[1].endswith("exercise given-up")
    assert "what a demo shows counts as the demo" in rows[-2]
    assert rows[-1] == f"Kept in {progress.file()}."
    assert lab(["progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in found["stages"]] == [1, 2, 3, 4, 5]
    assert found["stages"][1]["attacks_run"] == 1


def test_attack_that_is_run_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = os.environ.get("NETWORK") or "auto"
    assert lab(["stage-1", "sniffer", "--goal", "passwords", "--network", network]) == 2
    assert not progress.read().stage(1).attacks, "it does not apply at stage 1"
    assert lab(["stage-1", "spoofed_whisper", "--network", network]) == 0
    assert list(progress.read().stage(1).attacks) == ["spoofed_whisper"]
