"""Every attack against this stage, for real, and what the referee must find."""

import asyncio
import os

import pytest

import attacks
import stages
from attacks import Attack, Goal
from common.levers import Levers
from lab.bench import Bench, Cell

STAGE = stages.find(1)
PAIRS = [(attack, goal) for attack in attacks.catalogue() for goal in attack.goals]
NETWORK = os.environ.get("NETWORK") or "auto"


def run_all(levers: str = "") -> dict[str, Cell]:
    async def everything() -> dict[str, Cell]:
        async with Bench.open(NETWORK) as bench:
            await bench.control(STAGE, Levers.parse(levers))
            cells = [await bench.cell(STAGE, Levers.parse(levers), attack, goal) for attack, goal in PAIRS]
            return {cell.id: cell for cell in cells}

    return asyncio.run(everything())


@pytest.fixture(scope="module")
def cells() -> dict[str, Cell]:
    return run_all()


@pytest.mark.parametrize(("attack", "goal"), PAIRS, ids=[f"{a.name}/{g.name}" for a, g in PAIRS])
def test_attack_ends_as_expected(cells: dict[str, Cell], attack: Attack, goal: Goal) -> None:
    cell = cells[f"{attack.name}/{goal.name}"]
    assert cell.verdict == goal.expected_at(1), cell.reason


def test_every_broken_cell_has_evidence_that_can_be_read_in_its_capture(cells: dict[str, Cell]) -> None:
    broken = [cell for cell in cells.values() if cell.verdict == "broken"]
    assert broken
    for cell in broken:
        assert cell.evidence, cell.id
        assert all(evidence.frames for evidence in cell.evidence), cell.id


def test_no_victim_is_warned_of_anything_at_this_stage(cells: dict[str, Cell]) -> None:
    assert not any(cell.told for cell in cells.values())


@pytest.mark.parametrize(
    ("attack", "goal"), [(a, g) for a, g in PAIRS if g.expected_at(1) == "held"], ids=lambda x: x.name
)
def test_held_goal_is_reached_when_its_defence_is_switched_off(attack: Attack, goal: Goal) -> None:
    assert goal.ablation, "a held goal names the levers that break it"

    async def ablated() -> Cell:
        async with Bench.open(NETWORK) as bench:
            levers = Levers.parse(goal.ablation)
            await bench.control(STAGE, levers)
            return await bench.cell(STAGE, levers, attack, goal)

    assert asyncio.run(ablated()).verdict == "broken"


def test_the_threads_runtime_changes_no_verdict(cells: dict[str, Cell]) -> None:
    threaded = run_all("runtime=threads")
    assert {name: cell.verdict for name, cell in threaded.items()} == {n: c.verdict for n, c in cells.items()}
