"""The report on mutants: what is listed must survive, and what survives must be listed."""

import json
from pathlib import Path

import pytest

from tests.mutants import __main__ as mutants
from tests.mutants.__main__ import Listed, Survivor, differs_in_words_only, listed, report

CHANGED = Survivor("lab/x.py", "f", "a < b", "a <= b")


def made(folder: Path, **codes: int | None) -> Path:
    """What mutmut leaves: each mutant's exit code."""
    (folder / "lab").mkdir()
    (folder / "lab" / "x.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return folder


@pytest.fixture(autouse=True)
def _changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "survivor", lambda file, name: CHANGED)


def listing(monkeypatch: pytest.MonkeyPatch, *entries: Listed) -> None:
    monkeypatch.setattr(mutants, "listed", lambda: list(entries))


def entry(was: str = "", now: str = "") -> Listed:
    return Listed(file="lab/x.py", function="f", why="a reason of some words", kind="equivalent", was=was, now=now)


def test_survivor_that_is_not_listed_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listing(monkeypatch)
    assert report(made(tmp_path, one=1, two=37, three=0)) == 1
    told = capsys.readouterr().out
    assert "lab/x.py: f (three)\n- a < b\n+ a <= b\n" in told
    assert "3 mutants: 1 killed by a test, 1 refused by the type checker, 1 survived" in told


def test_survivor_that_is_listed_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch, entry(was="a < b", now="<="))
    assert report(made(tmp_path, one=1, two=0)) == 0


def test_entry_that_is_true_no_more_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch, entry(was="a < b"), entry(was="c < d"))
    assert report(made(tmp_path, one=1, two=0)) == 1


@pytest.mark.parametrize("code", [33, 5])
def test_mutant_that_no_test_calls_is_a_survivor(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch)
    assert report(made(tmp_path, one=code)) == 1


@pytest.mark.parametrize("code", [None, 2, -9])
def test_run_that_was_not_finished_fails(code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch)
    assert report(made(tmp_path, one=1, two=code)) == 1


def test_run_that_made_no_mutant_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(monkeypatch)
    assert report(made(tmp_path)) == 1


def test_wording_is_letters_case_and_xx_alone() -> None:
    assert differs_in_words_only(CHANGED._replace(was='"SELECT"', now='"select"'))
    assert differs_in_words_only(CHANGED._replace(was='"word"', now='"XXwordXX"'))
    assert not differs_in_words_only(CHANGED)


def test_list_is_read_and_every_entry_is_of_a_file_that_is_broken() -> None:
    broken = (mutants.REPOSITORY / "pyproject.toml").read_text()
    assert listed()
    assert all(f'"{each.file}"' in broken for each in listed())
