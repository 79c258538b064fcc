"""The matrix, run once as a whole: what was expected, and the proof that each verdict says something."""

import asyncio
import os
from collections.abc import Mapping

import pytest

import attacks
import stages
from attacks import Attack, Goal
from common.levers import Levers
from lab import matrix
from lab.bench import Cell, WhatIf
from lab.report import Report
from lab.verbs import selected

NETWORK = os.environ.get("NETWORK") or "auto"
STAGES = list(stages.catalogue().values())
GOALS = selected([], "")
IDS = ["/".join(part for part in (attack.name, goal.name, case) if part) for attack, goal, case in GOALS]
NUMBERS = [stage.number for stage in STAGES]

# In one of many whole runs a socket of attacks/terminate.py was closed by the garbage collector only. What this file
# asserts is verdicts; that nothing is left open is asserted of single scenes, in test_bench.py.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Cells = Mapping[tuple[int, str], Cell]


@pytest.fixture(scope="session")
def cells() -> Cells:
    """Every cell, with its ablation or its remedy."""

    async def whole() -> Cells:
        async with matrix.benches(NETWORK) as side_by_side:
            ran = await matrix.run(side_by_side, matrix.everything(STAGES, GOALS), ablations=True)
            return {(cell.stage, cell.id): cell for cell in ran}

    return asyncio.run(whole())


def test_the_threads_runtime_changes_no_verdict_at_the_first_stage(cells: Cells) -> None:
    async def threaded() -> dict[str, str]:
        async with matrix.benches(NETWORK) as side_by_side:
            items = matrix.everything(STAGES[:1], GOALS)
            ran = await matrix.run(side_by_side, items, levers="runtime=threads")
            return {cell.id: cell.verdict for cell in ran}

    assert asyncio.run(threaded()) == {c.id: c.verdict for (number, _), c in cells.items() if number == 1}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", IDS)
def test_cell_is_as_expected_and_shown_by_turning_its_levers(cells: Cells, name: str, number: int) -> None:
    cell = cells[number, name]
    assert cell.verdict == cell.expected, f"{cell.reason}; it {cell.did}"
    assert list(matrix.unproven(cell)) == []


def test_no_goal_that_is_held_is_broken_at_a_later_stage(cells: Cells) -> None:
    assert matrix.going_down(list(cells.values())) == []


@pytest.mark.parametrize("name", IDS)
def test_every_goal_is_reached_somewhere(cells: Cells, name: str) -> None:
    row = [cell for cell in cells.values() if cell.id == name]
    if all(cell.verdict == "not-applicable" for cell in row) and not any(cell.what_ifs for cell in row):
        assert GOALS[IDS.index(name)][1].lan_only  # this is loopback, and the goal a matter of the LAN
        return
    turned = [what_if.verdict for cell in row for what_if in (cell.ablation, *cell.what_ifs) if what_if]
    assert "broken" in [*(cell.verdict for cell in row), *turned]


@pytest.mark.parametrize(("attack", "goal", "case"), GOALS, ids=IDS)
def test_every_what_if_that_is_declared_was_run(cells: Cells, attack: Attack, goal: Goal, case: str) -> None:
    for number in NUMBERS:
        ran = cells[number, "/".join(filter(None, (attack.name, goal.name, case)))].what_ifs
        assert {run.levers: run.expected for run in ran} == goal.what_ifs_at(number, case)


@pytest.mark.parametrize("attack", attacks.catalogue(), ids=lambda attack: attack.name)
def test_every_what_if_names_levers_of_its_stage_that_are_turned_and_has_a_letter_for_each_case(attack: Attack) -> None:
    for goal in attack.goals:
        for number, declared in goal.what_ifs.items():
            for words, letters in declared.items():
                turned = Levers.parse(words, stages.find(number).levers).turned()
                assert sorted(words.split()) == sorted(f"{n}={s}" for n, s in turned.items())
                assert len(letters) == len(goal.cases or [""])
                assert set(letters) <= {"B", "H"}


@pytest.mark.parametrize("attack", attacks.catalogue(), ids=lambda attack: attack.name)
def test_every_goal_that_does_not_apply_somewhere_says_why(attack: Attack) -> None:
    for goal in attack.goals:
        assert bool(goal.absent) == ("-" in goal.expected), goal.name
        assert len(goal.expected) == len(STAGES), goal.name


def test_what_a_broken_cell_shows_can_be_read_in_its_capture_at_the_first_stage(cells: Cells) -> None:
    broken = [cell for (number, _), cell in cells.items() if number == 1 and cell.verdict == "broken"]
    assert broken
    for cell in broken:
        assert cell.evidence, cell.id
        assert all(evidence.frames for evidence in cell.evidence), cell.id


def test_no_victim_is_warned_of_anything_at_the_first_stage(cells: Cells) -> None:
    assert not any(cell.told for (number, _), cell in cells.items() if number == 1)


def test_what_if_that_comes_out_otherwise_is_a_fault() -> None:
    cell = Cell("tamper", "room", "", 3, {}, "broken", False, "")
    cell.what_ifs = [WhatIf("cipher=off", "broken", "held", "it was"), WhatIf("cipher=aes-256-ctr", "held", "held", "")]
    assert list(matrix.unproven(cell)) == ["stage 3 tamper/room is held under cipher=off, not broken: it was"]


def test_what_ifs_are_printed_below_the_table_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    cell = Cell("passphrase_guessing", "room", "", 3, {}, "not-applicable", False, "")
    cell.what_ifs = [WhatIf("key_exchange=passphrase", "broken", "broken", "read")]
    Report().what_ifs([cell, Cell("tamper", "room", "", 3, {}, "held", False, "")])
    line = "stage 3  broken          passphrase_guessing/room  what if key_exchange=passphrase\n"
    assert capsys.readouterr().out == line


def test_where_only_verified_keys_are_used_the_secret_was_typed_and_reported_unsent(cells: Cells) -> None:
    remedied = [c.remedy for c in cells.values() if c.remedy and c.remedy.levers == "pinning=verified"]
    assert len(remedied) == 2
    for remedy in remedied:
        assert "it was typed, and reported unsent" in remedy.reason
