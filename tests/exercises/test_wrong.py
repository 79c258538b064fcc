"""Every wrong solution is failed, for the right reason; the reference passes."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

import stages
from lab.exercise import check as checking
from lab.exercise import declared
from lab.exercise.check import check
from lab.exercise.declared import WORKS
from lab.exercise.outcome import Outcome
from tests.exercises.wrong import WRONG, Wrong

IMPATIENT = 2.5
"""Seconds for a step of the honest scene: what does not come in a wrong solution need not be waited for longer."""
HASTY = 1.0
"""The same where it need not work: what else is asked is then about single functions."""
STAGES = [stage for stage in stages.catalogue() if (Path(declared.__file__).parent / f"stage{stage}.toml").exists()]


def checked(stage: int, folder: Path, *only: str) -> Outcome:
    """Check this folder on the network that NETWORK names."""
    return asyncio.run(check(stages.find(stage), folder, network=os.environ.get("NETWORK") or "auto", only=only))


def changed(wrong: Wrong, to: Path) -> Path:
    """The reference with this wrong solution's changes."""
    reference = stages.find(wrong.stage).folder
    folder = shutil.copytree(reference, to / wrong.name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in wrong.edits:
        text = (folder / file).read_text()
        assert text.count(old) == 1, f"{file} has this {text.count(old)} times: {old}"
        (folder / file).write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"stage{wrong.stage}-{wrong.name}")
def test_wrong_solution_is_failed_for_the_right_reason(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "PATIENCE", IMPATIENT if WORKS in wrong.passes else HASTY)
    outcome = checked(wrong.stage, changed(wrong, tmp_path), wrong.fails, *wrong.passes)
    results = {result.id: result for result in outcome.requirements}
    assert results[wrong.fails].status == "failed"
    assert wrong.says.lower() in results[wrong.fails].observed.lower()
    assert wrong.hint in results[wrong.fails].hint
    assert {name: results[name].observed for name in wrong.passes if not results[name].passed} == {}
    assert not outcome.passed


@pytest.mark.parametrize("stage", STAGES)
def test_reference_passes_its_own_exercise(stage: int) -> None:
    outcome = checked(stage, stages.find(stage).folder)
    assert {result.id: result.observed for result in outcome.requirements if not result.passed} == {}
    assert [result.id for result in outcome.requirements] == [one.id for one in declared.exercise(stage).requirements]


@pytest.mark.parametrize("stage", STAGES)
def test_exercise_has_at_least_four_wrong_solutions(stage: int) -> None:
    assert len([wrong for wrong in WRONG if wrong.stage == stage]) >= 4
