"""Checks a submission: does it still work, do the stage's attacks hold, are its answers right?

    outcome = await check(stages.find(3), Path("work/stage3"))

The bench, the referee, the screens and the attackers stay here. The learner's code runs in a child process (see
`nursery`), whose programs show what they show; what is right is decided here, as for any stage.
"""

import contextlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

import attacks
from common.errors import LabError
from common.levers import Levers
from common.text import printable
from lab.bench import Bench, Cell
from lab.exercise import crashes, declared
from lab.exercise.declared import WORKS, Requirement
from lab.exercise.nursery import SUBMISSION, Nursery
from lab.exercise.outcome import Outcome, Result, Status
from lab.exercise.probes import Asking, Elsewhere, prepare, probes_of
from lab.exercise.program import Trouble
from lab.exercise.scene import ExerciseScene
from lab.matrix import Item, benches, shared
from lab.network import thrown_away
from lab.scene import Scene
from stages import Stage

WIDTH: Final = 4
PATIENCE: Final = 3.0
"""Seconds that each step of the honest scene may take."""
MOST_FILES, MOST_BYTES = 100, 1 << 18
NOT_RUN: Final = "Looked at when Alice, Bob and Carol can talk."
OBSERVED: Final = 500
"""How many characters of what was observed are told."""


@dataclass(frozen=True)
class Fault:
    """What was observed that is wrong; without a text, nothing. `helps`: the requirement that it is about, where that
    is another one than was looked at; `hint`: what helps in place of the requirement's own hint."""

    text: str = ""
    helps: str = ""
    hint: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)


async def check(stage: Stage, folder: Path, *, network: str = "auto", only: Sequence[str] = ()) -> Outcome:
    """Check the code in this folder, against all requirements or only these.

    Raises LabError for what is not the code's fault.
    """
    asked = declared.exercise(stage.number)
    wanted = [asked.find(name) for name in only] or asked.requirements
    began = time.perf_counter()
    with thrown_away("exercise-") as made:
        nursery = Nursery(made)
        _copy(folder, made / SUBMISSION)
        width = min(WIDTH, 1 + sum(len(one.cells) for one in wanted))
        prepare(stage, made)
        nursery.launch()
        with contextlib.closing(nursery):  # also where there is no network to be had
            async with benches(network, width) as side_by_side:
                try:
                    await nursery.start()
                    run = _Run(stage, nursery, side_by_side)
                    results = await run.results(wanted)
                finally:
                    nursery.close()
        return Outcome(
            stage.number,
            str(folder),
            tuple(results),
            nursery.isolated,
            nursery.why_not,
            side_by_side[0].kind,
            round(time.perf_counter() - began, 2),
            nursery.printed(),
        )


def _copy(folder: Path, to: Path) -> None:
    """The submission as it is now: its Python files, and no links. Raises LabError where there is none."""
    if not (folder / "client.py").is_file():
        raise LabError(
            f"{folder} holds no exercise, for there is no client.py in it; make stage-N exercise lays one out."
        )
    files = [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]
    if len(files) > MOST_FILES:
        raise LabError(f"{folder} holds {len(files)} Python files; an exercise has at most {MOST_FILES}.")
    for path in files:
        target = to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(file, "rb") as source:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    target.write_bytes(source.read(MOST_BYTES))
    if not (to / "__init__.py").exists():
        raise LabError(f"{folder} is no Python package: __init__.py is missing; copy it from the stage.")


class _Run:
    """One check, on the benches that it has."""

    def __init__(self, stage: Stage, nursery: Nursery, side_by_side: list[Bench]) -> None:
        self.stage = stage
        self.nursery = nursery
        self.benches = side_by_side
        self.levers = Levers({}, stage.levers)
        self.control: Scene | None = None
        for bench in side_by_side:
            bench.scene = partial(ExerciseScene, nursery=nursery)

    async def results(self, wanted: Sequence[Requirement]) -> list[Result]:
        """Every requirement that is wanted, in order; whether it works at all is always looked at."""
        try:
            await self.nursery.load()
        except Trouble as trouble:
            every = _first(self.stage, wanted)
            fault = Fault(_sentence(trouble))
            return [self._result(one, "failed" if one.id == WORKS else "not-run", fault) for one in every]
        fault = await self.honest()
        cells = {} if fault else await self.attacked(sorted({cell for one in wanted for cell in one.cells}))
        found = []
        for one in _first(self.stage, wanted) if fault else wanted:
            if one.id == WORKS and fault:
                found.append(self._result(one, "failed", fault))
                continue
            faults = [cells[cell] for cell in one.cells if cells.get(cell)]
            observed = faults[0] if faults else await self.probed(one, works=not fault)
            if fault and not observed and (one.cells or self._left_out(one)):
                found.append(self._result(one, "not-run", Fault(NOT_RUN)))
            else:
                status: Status = "failed" if observed else "passed"
                found.append(self._result(one, status, observed or Fault("as expected")))
        return found

    def _result(self, one: Requirement, status: Status, fault: Fault) -> Result:
        about = declared.exercise(self.stage.number).find(fault.helps or one.id)
        hint = fault.hint or about.hints[0]
        return Result(one.id, one.title, status, one.expected, fault.text, one.property, hint, about.section, about.id)

    def _left_out(self, one: Requirement) -> bool:
        """Is it about a conversation, which does not work?"""
        return any(probes_of(self.stage)[name].needs_scene for name in one.probes)

    async def honest(self) -> Fault:
        """What is wrong with the scene in which nobody attacks."""
        bench = self.benches[0]
        try:
            self.control = await bench.control(self.stage, self.levers, patience=PATIENCE)
        except (Trouble, LabError) as trouble:
            return Fault(_sentence(trouble))
        for other in self.benches[1:]:
            other.as_controlled(bench)
        return Fault()

    async def attacked(self, ids: Sequence[str]) -> dict[str, Fault]:
        """For each of these attacks what it did, where it was not held."""
        items = [_item(self.stage, cell) for cell in ids]
        alone = [item for item in items if item.goal.by_processor_time]
        together = [item for item in items if not item.goal.by_processor_time]
        told = dict(zip(together, await shared(self.benches, together, self._judged), strict=True))
        for item, (_, crashed) in list(told.items()):
            if crashed:  # beside others it cannot be told whose crash it was
                told[item] = await self._judged(self.benches[0], item)
        for item in alone:
            told[item] = await self._judged(self.benches[0], item)
        return {cell: told[item][0] for cell, item in zip(ids, items, strict=True)}

    async def _judged(self, bench: Bench, item: Item) -> tuple[Fault, bool]:
        """What the attack did, where it was not held; and whether it crashed."""
        name = "/".join(filter(None, (item.attack.name, item.goal.name, item.case)))
        try:
            cell = await bench.cell(self.stage, self.levers, item.attack, item.goal, case=item.case)
        except (Trouble, LabError) as trouble:
            return Fault(f"During the attack {name}: {_sentence(trouble)}", hint=crashes.attacked(trouble)), False
        except Exception as error:
            met = f"The attack {name} met something that it does not know in what your code sends ({error!r})."
            return Fault(met), True
        return Fault(_broken(name, cell)), False

    async def probed(self, requirement: Requirement, *, works: bool) -> Fault:
        """What the first of its probes finds wrong. works: can those three talk?"""
        for name in requirement.probes:
            probe = probes_of(self.stage)[name]
            asking = Asking(self.stage, self.nursery, self.benches[0], self.control if works else None)
            if probe.needs_scene and not works:
                continue
            try:
                if observed := await probe.run(asking):
                    return Fault(observed[:OBSERVED])
            except Elsewhere as fault:
                return Fault(_sentence(fault), helps=fault.requirement)
            except (Trouble, LabError) as trouble:
                return Fault(_sentence(trouble), hint=crashes.asked(trouble, requirement))
            except (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError) as error:
                return Fault(f"Your code returned something else than its signature says ({_sentence(error)}).")
            finally:
                asking.close()
        return Fault()


def _first(stage: Stage, wanted: Sequence[Requirement]) -> list[Requirement]:
    """With the requirement that it works: where that is not met, it is told even when nobody asked."""
    works = declared.exercise(stage.number).find(WORKS)
    return [works, *(one for one in wanted if one is not works)]


def _item(stage: Stage, cell: str) -> Item:
    name, goal, *case = cell.split("/")
    attack = attacks.find(name)
    return Item(stage, attack, attack.goal(goal), *case)


def _broken(name: str, cell: Cell) -> str:
    """What a person is told of an attack that was not held."""
    if cell.verdict != "broken":
        return ""
    seen = f" ({cell.evidence[0].where}: {cell.evidence[0].seen})" if cell.evidence else ""
    return printable(f"{name}: {cell.reason}{seen}")[:OBSERVED]


def _sentence(trouble: Exception) -> str:
    return printable(" ".join(str(trouble).split()))[:OBSERVED]
