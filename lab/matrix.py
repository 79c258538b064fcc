"""The matrix: every attack against every stage, and the proof of each cell by running it again under turned levers.

A scene spends most of its time waiting for what does not come, so several benches work side by side in one event loop,
each on a network of its own. An attack that is judged by the processor time it took has the process for itself.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from attacks import Attack, Goal
from common.levers import Levers
from lab.bench import Bench, Cell, silent
from lab.scene import Watch
from stages import Stage

T = TypeVar("T")
R = TypeVar("R")

WIDTH: Final = 4
"""How many benches work side by side: on two processors six are no faster, since all of them share one thread."""


class Item(NamedTuple):
    """One cell that is to be run."""

    stage: Stage
    attack: Attack
    goal: Goal
    case: str = ""


@contextlib.asynccontextmanager
async def benches(choice: str, width: int = WIDTH) -> AsyncIterator[list[Bench]]:
    """As many benches as may work side by side, each with a network of its own. Raises LabError."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Bench.open(choice)) for _ in range(width)]


def everything(stages: Sequence[Stage], goals: Sequence[tuple[Attack, Goal, str]]) -> list[Item]:
    """Each of these goals at each of these stages."""
    return [Item(stage, *goal) for stage in stages for goal in goals]


async def shared(
    side_by_side: Sequence[Bench], items: Sequence[T], work: Callable[[Bench, T], Awaitable[R]]
) -> list[R]:
    """What this work gives for each item, in their order; every bench takes the next one as soon as it is free.

    The first failure ends all of it, and is raised.
    """
    waiting = deque(enumerate(items))
    done: dict[int, R] = {}

    async def take(bench: Bench) -> None:
        while waiting:
            place, item = waiting.popleft()
            done[place] = await work(bench, item)

    try:
        async with asyncio.TaskGroup() as group:
            for bench in side_by_side:
                group.create_task(take(bench))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [done[place] for place in range(len(items))]


async def run(
    side_by_side: Sequence[Bench],
    items: Sequence[Item],
    *,
    levers: str = "",
    ablations: bool = False,
    via: str = "",
    slow: bool = False,
    watch: Callable[[Item], Watch] = lambda item: silent,
    judged: Callable[[Item, Cell], None] = lambda item, cell: None,
) -> list[Cell]:
    """The cells of these items, in their order; with `ablations` each is run again under turned levers.

    via, slow: see `Bench.cell`. watch: who follows an item's scene. judged: called with each cell when it is there, in
    whatever order; on one bench in that of the items. Every bench makes a control run before its first cell of a stage.
    Raises LabError, and whatever an attack crashes with: the first failure ends the run.
    """

    async def judge(bench: Bench, item: Item) -> Cell:
        turned = Levers.parse(levers, item.stage.levers)
        await bench.controlled(item.stage, turned)
        cell = await bench.cell(item.stage, turned, item.attack, item.goal, watch(item), item.case, via, slow)
        if ablations:
            await bench.what_ifs(cell, item.stage, item.attack, item.goal)
        judged(item, cell)
        return cell

    if len(side_by_side) == 1:
        return await shared(side_by_side, items, judge)
    alone = [item for item in items if wants_it_alone(item)]
    together = [item for item in items if not wants_it_alone(item)]
    cells = dict(zip(together, await shared(side_by_side, together, judge), strict=True))
    cells |= zip(alone, await shared(side_by_side[:1], alone, judge), strict=True)
    return [cells[item] for item in items]


def wants_it_alone(item: Item) -> bool:
    """Does the verdict depend on what else the machine does? An attack on availability takes what it can get."""
    return item.goal.by_processor_time or bool(item.attack.family)


class InOrder:
    """Cells are judged side by side and told one after the other: each when all before it have been told."""

    def __init__(self, items: Sequence[Item], tell: Callable[[Item, Cell, list[tuple[str, str]]], None]) -> None:
        self._tell = tell
        self._waiting = deque(items)
        self._seen: dict[Item, list[tuple[str, str]]] = {item: [] for item in items}
        self._judged: dict[Item, Cell] = {}

    def watch(self, item: Item) -> Watch:
        """Keep what is seen of this item's scene until it is told."""
        return lambda place, text: self._seen[item].append((place, text))

    def judged(self, item: Item, cell: Cell) -> None:
        """Tell this cell, and those that have waited for it."""
        self._judged[item] = cell
        while self._waiting and self._waiting[0] in self._judged:
            first = self._waiting.popleft()
            self._tell(first, self._judged[first], self._seen[first])


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
