"""What a learner keeps, damaged at random: the run folder's captures, verdicts and answers, and the progress file."""

import io
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from lab import progress
from lab.cli import run as lab
from tests.faults.test_damage import damaged

READERS = (
    *(("flow",), ("stage-1", "report"), ("stage-1", "quiz"), ("stage-1", "questions"), ("hint",), ("progress",)),
    *(("stage-1", "sniffer", "--read", "{capture}"), ("flow", "{capture}")),
)
"""All that reads what an earlier run left."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a learner has attacked stage 1, and taken a capture, on a day when all was well."""
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    monkeypatch.setenv("XDG_DATA_HOME", str(desk / "data"))
    progress._say_once.cache_clear()
    assert lab(["stage-1", "sniffer", "--network", "loopback"]) == 0
    assert lab(["stage-1", "capture", "--network", "loopback"]) == 0
    assert lab(["stage-1", "quiz", "--question", "who-could-tell"]) == 0
    return desk


def test_damaged_run_folder_and_progress_are_a_sentence_or_are_read(
    desk: Path, whole: bool, dice: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, came = desk.with_name("kept"), Counter[str]()
    shutil.copytree(desk, kept)
    for number in range(400 if whole else 25):
        file = dice.choice(sorted(path for path in desk.rglob("*") if path.is_file() and path.stat().st_size))
        file.write_bytes(damaged(file.read_bytes(), dice))
        capture = str(file if file.suffix == ".pcapng" else next(desk.rglob("*.pcapng")))
        words = [word.format(capture=capture) for word in dice.choice(READERS)]
        capsys.readouterr()
        status = lab(words)  # whatever is not for people would leave it as an exception, and fail this test
        said = capsys.readouterr().err
        assert status in (0, 1, 2, 3), (number, file.name, words)
        assert "Traceback" not in said, (number, file.name, words)
        assert status != 2 or said.strip(), f"round {number}: {words} on a damaged {file.name} said nothing"
        came[f"status {status}"] += 1
        shutil.rmtree(desk)
        shutil.copytree(kept, desk)
    print(dict(came))


def test_damaged_progress_is_set_aside_and_told_and_never_lost(
    desk: Path, whole: bool, dice: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    file = progress.file()
    right = file.read_bytes()
    for number in range(1000 if whole else 60):
        for left in file.parent.glob("*.damaged-*"):
            left.unlink()
        broken = damaged(right, dice)
        file.write_bytes(broken)
        progress._say_once.cache_clear()
        progress.note(2, attack="sniffer")
        told = capsys.readouterr().err
        aside = [path.read_bytes() for path in file.parent.glob("*.damaged-*")]
        assert "Traceback" not in told
        assert aside in ([], [broken]), f"round {number}"
        assert bool(aside) == ("was damaged" in told), f"round {number}"
        if "not noted" not in told:
            assert "sniffer" in progress.read().stage(2).attacks
