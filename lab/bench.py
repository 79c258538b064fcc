"""The bench: runs scenes, has them judged, makes cells.

async with Bench.open("auto") as bench:
    await bench.control(stage, levers)
    cell = await bench.cell(stage, levers, attack, goal)
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from attacks import Attack, Goal
from common.errors import LabError
from common.lan import Lan
from common.levers import Levers
from lab.capture import Capture, Recording
from lab.network import Network, running
from lab.referee import RULES, Evidence, control_faults, victim_faults, warned
from lab.scene import PATIENCE, Scene, Watch
from lab.surroundings import Path, arrange, check_way
from stages import Stage


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The same attack, unchanged, under turned levers."""

    levers: str
    verdict: str
    reason: str


@dataclass(slots=True)
class Cell:
    """One verdict: who attacked what, under which levers, and what the referee found."""

    attack: str
    goal: str
    case: str
    stage: int
    levers: dict[str, str]
    verdict: str
    told: bool
    reason: str
    evidence: list[Evidence] = field(default_factory=list)
    seconds: float = 0.0
    capture: str = ""
    did: str = ""
    expected: str = ""
    via: str = ""
    """The way onto the path that the attack was told to take."""
    ablation: WhatIf | None = None
    """A held goal, with its defence switched off."""
    alone: list[WhatIf] = field(default_factory=list)
    """The same, with each one of several levers turned."""
    remedy: WhatIf | None = None
    """A broken goal, under the levers that hold it."""

    @property
    def id(self) -> str:
        """`sniffer/room`."""
        return "/".join(part for part in (self.attack, self.goal, self.case) if part)

    def to_json(self) -> dict[str, Any]:
        """As it is written into verdicts.json; without the what-ifs that were not run."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {
            name: value for name, value in built.items() if value or name not in ("via", "ablation", "alone", "remedy")
        }


@contextlib.contextmanager
def _crashes() -> Iterator[None]:
    """An exception in any callback or task is a crash of the run: never a verdict."""
    loop = asyncio.get_running_loop()
    failures: list[tuple[str, BaseException | None]] = []
    handler, hook = loop.get_exception_handler(), threading.excepthook
    loop.set_exception_handler(lambda _, context: failures.append((context["message"], context.get("exception"))))
    threading.excepthook = lambda crash: failures.append((f"A thread crashed: {crash.exc_value}", crash.exc_value))
    try:
        yield
    finally:
        loop.set_exception_handler(handler)
        threading.excepthook = hook
    if failures:
        raise RuntimeError(failures[0][0]) from failures[0][1]


def _silent(place: str, text: str) -> None:
    """Nobody watches."""


class Bench:
    """One network on which scenes are run, one after the other."""

    def __init__(self, network: Network, why: str) -> None:
        self.network = network
        self.why = why
        self.watch: Watch = _silent
        """Who watches the scene that is run now."""
        self.recordings: dict[str, Recording] = {}
        self._misled = True
        self._controlled: set[tuple[int, str]] = set()
        self._capture = Capture(network.mirror())

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, choice: str = "auto") -> AsyncIterator["Bench"]:
        """Build the network; take it down when the block ends. Raises LabError where it cannot be had."""
        made: list[Bench] = []

        def asked(line: str) -> None:
            for bench in made:
                bench.watch("dns", line)

        async with running(choice, asked) as (network, why):
            bench = cls(network, why)
            made.append(bench)
            try:
                yield bench
            finally:
                bench._capture.stop()

    @property
    def kind(self) -> str:
        """`lan` or `loopback`."""
        return "lan" if isinstance(self.network, Lan) else "loopback"

    async def control(
        self,
        stage: Stage,
        levers: Levers,
        watch: Watch = _silent,
        judge: Callable[[Scene], list[str]] = control_faults,
    ) -> Scene:
        """Run the scene with nobody attacking. Raises LabError where not all arrives: nothing can be judged then."""
        scene = self._set(stage, levers, watch)
        self._misled = False
        with _crashes():
            await scene.play()
        self.recordings["control"] = self._capture.cut()
        faults = judge(scene)
        if faults:
            raise LabError(f"Without any attack the scene already fails, so nothing can be judged: {faults[0]}")
        return scene

    async def cell(
        self,
        stage: Stage,
        levers: Levers,
        attack: Attack,
        goal: Goal,
        watch: Watch = _silent,
        case: str = "",
        via: str = "",
        slow: bool = False,
    ) -> Cell:
        """Run one attack against the scene, in one of the goal's ways where it has several, and judge it.

        via: the way onto the path, one of those that the attack can be told to take. slow: for people who follow.
        """
        check_way(attack, via)
        cell = Cell(attack.name, goal.name, case, stage.number, levers.turned(), "not-applicable", False, goal.absent)
        cell.expected = goal.expected_at(stage.number)
        cell.via = via
        if cell.expected == "not-applicable":
            return cell
        if not isinstance(self.network, Lan) and (goal.lan_only or via):
            handed = (
                "loopback has no ARP and no routes: whoever is to be on the path is handed the relay; leave out VIA="
            )
            cell.expected, cell.reason = "not-applicable", goal.lan_only or handed
            return cell
        if bool(case) != bool(goal.cases):
            raise LabError(f"{attack.name}/{goal.name} is tried in these ways: {', '.join(goal.cases) or 'only one'}.")
        started = time.perf_counter()
        scene = self._set(stage, levers, watch, attack, via)
        self._misled = attack.position == "on-path" or bool(via)
        scene.case, scene.via, scene.slow = case, via, slow
        if goal.wins == "flowed-through" and isinstance(self.network, Lan):
            scene.path = Path.watched(self.network, stage.port, attack)
        with _crashes(), scene.path or contextlib.nullcontext():
            claim = await scene.play(attack, goal)
        recording = self._capture.cut()
        self.recordings[cell.id] = recording
        finding = RULES[goal.wins](scene, claim, recording)
        cell.verdict = "broken" if finding.reached else "held"
        cell.told = bool(warned(scene))
        cell.reason, cell.evidence, cell.did = finding.reason, finding.evidence, claim.did
        if scene.missed and not finding.reached:
            cell.reason += f"; Mallory did not get on the path: {scene.missed[0]}"
        if scene.unheard and not finding.reached:  # a cut line is no defence: say that it was cut
            cell.reason += f"; but {len(scene.unheard)} of {len(scene.spoken)} things that were said never arrived"
        cell.seconds = round(time.perf_counter() - started, 3)
        return cell

    async def what_ifs(self, cell: Cell, stage: Stage, attack: Attack, goal: Goal) -> None:
        """Run a cell again: a held one without its defence, and where that is several levers, with each alone; a broken
        one under its remedy. Each set of levers has a control run of its own."""

        async def again(words: str) -> WhatIf:
            levers = Levers.parse(words, stage.levers)
            if (stage.number, words) not in self._controlled:
                await self.control(stage, levers, judge=victim_faults)
                self._controlled.add((stage.number, words))
            run = await self.cell(stage, levers, attack, goal, case=cell.case, via=cell.via)
            return WhatIf(words, run.verdict, run.reason)

        if cell.verdict == "held" and (words := goal.ablation_at(stage.number, cell.case)):
            cell.ablation = await again(words)
            settings = words.split()
            cell.alone = [await again(setting) for setting in settings] if len(settings) > 1 else []
        elif cell.verdict == "broken" and (words := goal.remedy_at(stage.number)):
            cell.remedy = await again(words)

    def _set(self, stage: Stage, levers: Levers, watch: Watch, attack: Attack | None = None, via: str = "") -> Scene:
        """A fresh scene on a network that remembers nothing of the last one."""
        arrange(self.network, levers, attack, via, misled=self._misled)
        self.watch = watch
        self._capture.cut()
        return Scene(stage, levers, self.network, watch, PATIENCE)
