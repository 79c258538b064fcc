"""The bench: runs scenes, has them judged, makes cells.

async with Bench.open("auto") as bench:
    await bench.control(stage, levers)
    cell = await bench.cell(stage, levers, attack, goal)
"""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from attacks import Attack, Goal
from common.errors import LabError
from common.lan import Lan
from common.levers import Levers
from lab.capture import Capture, Recording, TlsSecrets
from lab.flooded import FloodedScene
from lab.network import Network, running
from lab.referee import RULES, Evidence, control_faults, victim_faults, warned
from lab.remarks import ScreenRow, remark
from lab.scene import PATIENCE, Scene, Watch
from lab.surroundings import Path, arrange, check_way
from stages import Stage

CONTROL_PATIENCE: Final = 10.0
"""Seconds for each step with nobody attacking: all must arrive, so only a machine that is overloaded waits."""
FLOOD_FRAMES: Final = 10_000
"""How much of a flood is kept in its capture."""
PACE: Final = 10
"""An attacked scene waits so many times as long as the slowest step took when nobody attacked."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The same attack, unchanged, under turned levers."""

    levers: str
    expected: str
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
    what_ifs: list[WhatIf] = field(default_factory=list)
    """Other levers, of which it is written down what comes of them."""

    @property
    def id(self) -> str:
        """`sniffer/room`."""
        return "/".join(part for part in (self.attack, self.goal, self.case) if part)

    def to_json(self) -> dict[str, Any]:
        """As it is written into verdicts.json; without the what-ifs that were not run."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        not_run = {name for name in ("via", "ablation", "alone", "remedy", "what_ifs") if not built[name]}
        return {name: value for name, value in built.items() if name not in not_run}


class _Crashes:
    """An exception in any callback or task is a crash of the run: never a verdict.

    The loop and the threads have one place each where such an exception ends up, so where several scenes are played
    side by side it counts for all of them.
    """

    watching: ClassVar[list["_Crashes"]] = []
    before: ClassVar[tuple[Any, Any]]
    """What looked after such exceptions until the first of the scenes began."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException | None]] = []

    @classmethod
    def _seen(cls, message: str, error: BaseException | None) -> None:
        for scene in cls.watching:
            scene.failures.append((message, error))

    def __enter__(self) -> None:
        if not self.watching:
            loop = asyncio.get_running_loop()
            type(self).before = loop.get_exception_handler(), threading.excepthook
            loop.set_exception_handler(lambda _, crash: self._seen(crash["message"], crash.get("exception")))
            threading.excepthook = lambda crash: self._seen(f"A thread crashed: {crash.exc_value}", crash.exc_value)
        self.watching.append(self)

    def __exit__(self, *_: object) -> None:
        self.watching.remove(self)
        if not self.watching:
            handler, threading.excepthook = self.before
            asyncio.get_running_loop().set_exception_handler(handler)
        if self.failures:
            raise RuntimeError(self.failures[0][0]) from self.failures[0][1]


def silent(place: str, text: str) -> None:
    """Nobody watches."""


class Bench:
    """One network on which scenes are run, one after the other."""

    def __init__(self, network: Network, why: str) -> None:
        self.network = network
        self.why = why
        self.watch: Watch = silent
        """Who watches the scene that is run now."""
        self.recordings: dict[str, Recording] = {}
        self.scene: Callable[..., Scene] = Scene
        """What is played: the stages' scene, or that of something else that is attacked."""
        self._controlled: dict[tuple[int, tuple[tuple[str, str], ...]], float] = {}
        """The patience of the scenes whose control run was made, by stage and turned levers."""
        self._capture = Capture(network.mirror())
        self._secrets = TlsSecrets(str(network.folder))
        self._rows: list[ScreenRow] = []

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
                bench._secrets.close()

    @property
    def kind(self) -> str:
        """`lan` or `loopback`."""
        return "lan" if isinstance(self.network, Lan) else "loopback"

    async def control(
        self,
        stage: Stage,
        levers: Levers,
        watch: Watch = silent,
        judge: Callable[[Scene], list[str]] | None = None,
        made: Callable[..., Scene] | None = None,
        patience: float = CONTROL_PATIENCE,
    ) -> Scene:
        """Run the scene, or another that is `made`, with nobody attacking.

        Raises LabError where not all arrives, or `judge` finds another fault: nothing can be judged then.
        """
        scene = self._set(stage, levers, watch, made=made)
        scene.patience = patience
        with _Crashes():
            await scene.play()
        self.recordings["control"], secrets = self._recorded()
        if judge is None:  # boxes for several members merge, with nobody attacking
            judge = victim_faults if levers.get("framing") == "none" else control_faults
        faults = judge(scene)
        remark(self.recordings["control"], "tap", scene.canaries, self._rows, [])
        self.recordings["control"].secrets = secrets
        if faults:
            raise LabError(f"Without any attack the scene already fails, so nothing can be judged: {faults[0]}")
        self._controlled[self._at(stage, levers)] = max(PATIENCE, PACE * scene.slowest)
        return scene

    def _at(self, stage: Stage, levers: Levers) -> tuple[int, tuple[tuple[str, str], ...]]:
        return stage.number, tuple(levers.turned().items())

    def as_controlled(self, other: "Bench") -> None:
        """Take another bench's control runs for one's own."""
        self._controlled |= other._controlled

    async def controlled(self, stage: Stage, levers: Levers) -> None:
        """See that a control run of this stage under these levers was made on this bench: the first call makes it."""
        if self._at(stage, levers) not in self._controlled:
            await self.control(stage, levers)

    async def cell(
        self,
        stage: Stage,
        levers: Levers,
        attack: Attack,
        goal: Goal,
        watch: Watch = silent,
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
        if cell.levers:
            cell.expected = "" if via else goal.expected_under(stage.number, cell.levers, case)
        if not goal.applies(stage.number, levers):
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
        scene.case, scene.via, scene.slow = case, via, slow
        if goal.wins == "flowed-through" and isinstance(self.network, Lan):
            scene.path = Path.watched(self.network, stage.port, attack)
        with _Crashes(), scene.path or contextlib.nullcontext():
            claim = await scene.play(attack, goal)
        recording, secrets = self._recorded()
        self.recordings[cell.id] = recording
        finding = RULES[goal.wins](scene, claim, recording)
        cell.verdict = "broken" if finding.reached else "held"
        cell.told = bool(warned(scene))
        cell.reason, cell.evidence, cell.did = finding.reason, finding.evidence, claim.did
        if scene.missed and not finding.reached:
            cell.reason += f"; Mallory did not get on the path: {scene.missed[0]}"
        remark(recording, attack.position, scene.canaries, self._rows, finding.evidence)
        recording.secrets = secrets
        if scene.unheard and not finding.reached:  # a cut line is no defence: say that it was cut
            cell.reason += f"; but {len(scene.unheard)} of {len(scene.spoken)} things that were said never arrived"
        cell.seconds = round(time.perf_counter() - started, 3)
        return cell

    async def what_ifs(self, cell: Cell, stage: Stage, attack: Attack, goal: Goal) -> None:
        """Run a cell again: a held one without its defence, and where that is several levers, with each alone; a broken
        one under its remedy; any under the other levers that the goal names. Each set of levers is run once, and has a
        control run of its own. The captures that are kept stay those of the cell, and of the control run before it."""
        ran: dict[str, Cell] = {}
        recordings = dict(self.recordings)

        async def again(words: str, expected: str) -> WhatIf:
            levers = Levers.parse(words, stage.levers)
            await self.controlled(stage, levers)
            if words not in ran:
                ran[words] = await self.cell(stage, levers, attack, goal, case=cell.case, via=cell.via)
            return WhatIf(words, expected, ran[words].verdict, ran[words].reason)

        if cell.verdict == "held" and (words := goal.ablation_at(stage.number, cell.case)):
            cell.ablation = await again(words, "broken")
            settings = words.split()
            cell.alone = [await again(setting, "held") for setting in settings] if len(settings) > 1 else []
        elif cell.verdict == "broken" and (words := goal.remedy_at(stage.number)):
            cell.remedy = await again(words, "held")
        others = goal.what_ifs_at(stage.number, cell.case)
        cell.what_ifs = [await again(words, expected) for words, expected in others.items()]
        self.recordings |= recordings

    def _set(
        self,
        stage: Stage,
        levers: Levers,
        watch: Watch,
        attack: Attack | None = None,
        via: str = "",
        made: Callable[..., Scene] | None = None,
    ) -> Scene:
        """A fresh scene on a network that remembers nothing of the last one."""
        arrange(self.network, levers, attack, via)
        self.watch = watch
        self._capture.cut()
        flooded = bool(attack and attack.family == "dos")
        self._capture.most = FLOOD_FRAMES if flooded else sys.maxsize
        self._secrets.take()
        self._rows = []

        def noted(place: str, row: str) -> None:
            if place != "wire":
                self._rows.append(ScreenRow(self._capture.next_number(), place, row))
            watch(place, row)

        patience = self._controlled.get(self._at(stage, levers), PATIENCE)
        make = made or (FloodedScene if flooded else self.scene)
        return make(stage, levers, self.network, noted, patience, log_secrets=self._secrets.log)

    def _recorded(self) -> tuple[Recording, bytes]:
        """What crossed the wire in the scene that is over, and, apart from it until it is judged, what opens it."""
        recording = self._capture.cut()
        recording.cards = {name: host.mac for name, host in self.network.hosts.items()}
        recording.hub = self.network.kind == "hub"
        return recording, self._secrets.take()
