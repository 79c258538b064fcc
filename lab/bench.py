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
from common.lan import Lan, LanHost
from common.levers import Levers
from lab.capture import Capture, Recording, TlsSecrets
from lab.network import Network, running
from lab.referee import RULES, Evidence, control_faults, victim_faults, warned
from lab.remarks import ScreenRow, remark
from lab.scene import PATIENCE, Scene, Watch, memory
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
        return {name: value for name, value in built.items() if value or name not in ("ablation", "alone", "remedy")}


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
        self.recordings: dict[str, Recording] = {}
        self._misled = True
        self._controlled: set[tuple[int, str]] = set()
        self._capture = Capture(network.mirror())
        self._secrets = TlsSecrets(memory())
        self._rows: list[ScreenRow] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, choice: str = "auto") -> AsyncIterator["Bench"]:
        """Build the network; take it down when the block ends. Raises LabError where it cannot be had."""
        async with running(choice) as (network, why):
            bench = cls(network, why)
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
        watch: Watch = _silent,
        judge: Callable[[Scene], list[str]] = control_faults,
    ) -> Scene:
        """Run the scene with nobody attacking. Raises LabError where not all arrives: nothing can be judged then."""
        scene = self._set(stage, levers, "switch", watch)
        self._misled = False
        with _crashes():
            await scene.play()
        self.recordings["control"], secrets = self._recorded()
        faults = judge(scene)
        remark(self.recordings["control"], "tap", scene.canaries, self._rows, [])
        self.recordings["control"].secrets = secrets
        if faults:
            raise LabError(f"Without any attack the scene already fails, so nothing can be judged: {faults[0]}")
        return scene

    async def cell(
        self, stage: Stage, levers: Levers, attack: Attack, goal: Goal, watch: Watch = _silent, case: str = ""
    ) -> Cell:
        """Run one attack against the scene, in one of the goal's ways where it has several, and judge it."""
        cell = Cell(attack.name, goal.name, case, stage.number, levers.turned(), "not-applicable", False, goal.absent)
        cell.expected = goal.expected_at(stage.number)
        if cell.expected == "not-applicable":
            return cell
        if bool(case) != bool(goal.cases):
            raise LabError(f"{attack.name}/{goal.name} is tried in these ways: {', '.join(goal.cases) or 'only one'}.")
        started = time.perf_counter()
        scene = self._set(stage, levers, "hub" if attack.taps else "switch", watch)
        self._misled = attack.position == "on-path"
        scene.case = case
        with _crashes():
            claim = await scene.play(attack, goal)
        recording, secrets = self._recorded()
        self.recordings[cell.id] = recording
        finding = RULES[goal.wins](scene, claim, recording)
        cell.verdict = "broken" if finding.reached else "held"
        cell.told = bool(warned(scene))
        cell.reason, cell.evidence, cell.did = finding.reason, finding.evidence, claim.did
        remark(recording, attack.position, scene.canaries, self._rows, finding.evidence)
        recording.secrets = secrets
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
            run = await self.cell(stage, levers, attack, goal, case=cell.case)
            return WhatIf(words, run.verdict, run.reason)

        if cell.verdict == "held" and (words := goal.ablation_at(stage.number, cell.case)):
            cell.ablation = await again(words)
            settings = words.split()
            cell.alone = [await again(setting) for setting in settings] if len(settings) > 1 else []
        elif cell.verdict == "broken" and (words := goal.remedy_at(stage.number)):
            cell.remedy = await again(words)

    def _set(self, stage: Stage, levers: Levers, kind: Any, watch: Watch) -> Scene:
        """A fresh scene on a network that remembers nothing of the last one."""
        self.network.become(kind)
        if self._misled:  # whoever is on the path lies to the hosts about each other
            for host in self.network.hosts.values():
                if isinstance(host, LanHost):
                    host.run("ip", "neigh", "flush", "all")
        self._capture.cut()
        self._secrets.take()
        self._rows = []

        def noted(place: str, row: str) -> None:
            if place != "wire":
                self._rows.append(ScreenRow(self._capture.next_number(), place, row))
            watch(place, row)

        return Scene(stage, levers, self.network, noted, PATIENCE, log_secrets=self._secrets.log)

    def _recorded(self) -> tuple[Recording, bytes]:
        """What crossed the wire in the scene that is over, and, apart from it until it is judged, what opens it."""
        recording = self._capture.cut()
        recording.cards = {name: host.mac for name, host in self.network.hosts.items()}
        recording.hub = self.network.kind == "hub"
        return recording, self._secrets.take()
