"""The matrix: every attack against every stage, and the proof of each cell by running it again under turned levers."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise

from attacks import Attack, Goal
from common.levers import Levers
from lab.bench import Bench, Cell
from stages import Stage


async def run(
    bench: Bench,
    every: Sequence[Stage],
    goals: Sequence[tuple[Attack, Goal, str]],
    *,
    levers: str = "",
    ablations: bool = False,
) -> AsyncIterator[Cell]:
    """Each cell as it is judged, stage by stage; with `ablations` after its runs under turned levers."""
    for stage in every:
        turned = Levers.parse(levers, stage.levers)
        await bench.control(stage, turned)
        for attack, goal, case in goals:
            cell = await bench.cell(stage, turned, attack, goal, case=case)
            if ablations:
                await bench.what_ifs(cell, stage, attack, goal)
            yield cell


def unproven(cell: Cell) -> Iterator[str]:
    """What a cell's runs under turned levers do not show, though they should."""
    where = f"stage {cell.stage} {cell.id}"
    if cell.verdict == "held" and cell.ablation is None:
        yield f"{where} is held, and no levers are named under which it is broken"
    if cell.ablation and cell.ablation.verdict != "broken":
        yield f"{where} is still held under {cell.ablation.levers}: {cell.ablation.reason}"
    for one in cell.alone:
        if one.verdict != "held":
            yield f"{where} is broken by {one.levers} alone: {one.reason}"
    if cell.remedy and cell.remedy.verdict != "held":
        yield f"{where} is still broken under {cell.remedy.levers}: {cell.remedy.reason}"
    for other in cell.what_ifs:
        if other.verdict != other.expected:
            yield f"{where} is {other.verdict} under {other.levers}, not {other.expected}: {other.reason}"


def going_down(cells: Sequence[Cell]) -> list[str]:
    """What is held at a stage and broken at a later one: the ladder only goes up."""
    by_id: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.verdict != "not-applicable":
            by_id.setdefault(cell.id, []).append(cell)
    return [
        f"{name} is held at stage {before.stage} and broken at stage {after.stage}"
        for name, row in by_id.items()
        for before, after in pairwise(sorted(row, key=lambda cell: cell.stage))
        if (before.verdict, after.verdict) == ("held", "broken")
    ]
