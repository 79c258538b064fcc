"""How long honest members wait while somebody attacks the server's availability, against how long on a calm day.

    python -m benchmarks.calm [--stage 5] [--rounds 3] [--attack message_flood] [--json]

Each attack of the family `dos` is played as the referee judges it (`lab.flooded`): the stage's server is a program of
its own with a cap on its memory, and its limits are the default ones, which is what is measured here. Alice and Bob
talk all the while. A latency is the time from typing something until it is on the last screen it is due to; every
scene with an attack has a calm one just before it, and the figure is the ratio of their 99th percentiles, the median
of the rounds. The target is TARGET. What did not arrive within the referee's bound counts as that long, and is told.

Server, attacker (`benchmarks.attacker`) and members are three programs, on two cores: what the attacker's own work
takes of the processors is in the figure too, as it would not be with a machine of its own.
"""

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import attacks
import stages
from attacks import Attack
from benchmarks import rows
from benchmarks.attacker import Near, elsewhere
from common.errors import LabError
from common.levers import Levers
from lab.flooded import BOUND_SECONDS, FloodedScene
from lab.network import Network, memory
from lab.scene import Member, Spoken
from stages import Stage

TARGET: Final = 5.0
EACH: Final = 10
"""How often they say, in each round of their talk, what the referee's scene has them say once."""


@dataclass
class TimedScene(FloodedScene):
    """The scene of these attacks, with more said in it, and each thing timed."""

    latencies: list[float] = field(default_factory=list)

    async def _talk(self, number: int) -> None:
        for more in range(EACH):
            await super()._talk(EACH * number + more)

    async def _heard(self, spoken: Spoken, listeners: list[Member]) -> None:
        began, unheard = time.perf_counter(), len(self.unheard)
        await super()._heard(spoken, listeners)
        lost = len(self.unheard) > unheard
        self.latencies.append(BOUND_SECONDS if lost else time.perf_counter() - began)


@dataclass
class Row:
    """One attack: the 99th percentiles in milliseconds, their ratio, and what did not arrive at all."""

    attack: str
    calm: float
    attacked: float
    ratio: float
    messages: int
    lost: int


def p99(latencies: Sequence[float]) -> float:
    """The latency that 99 of 100 do not exceed, in milliseconds. Raises LabError where there are none."""
    if not latencies:
        raise LabError("Nothing was said, so nothing can be measured.")
    return 1000 * sorted(latencies)[math.ceil(0.99 * len(latencies)) - 1]


async def played(network: Network, stage: Stage, attack: Attack | None) -> TimedScene:
    """The scene, with this attack or with none."""
    scene = TimedScene(stage, Levers.parse("", stage.levers), network, lambda place, row: None)
    if attack:
        attack = elsewhere(attack, lambda: scene.people)
    await scene.play(attack, attack.goals[0] if attack else None)
    return scene


async def measure(stage: Stage, chosen: Sequence[Attack], rounds: int) -> list[Row]:
    """Each attack, so many times, after a calm scene each time."""
    made = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory()) as folder:
        network = Near(Path(folder)).as_network()
        for attack in chosen:
            calm, attacked = [], []
            for _ in range(rounds):
                calm.append(await played(network, stage, None))
                attacked.append(await played(network, stage, attack))
            made.append(row(attack.name, calm, attacked))
    return made


def row(name: str, calm: list[TimedScene], attacked: list[TimedScene]) -> Row:
    """What came of one attack's rounds."""
    quiet, loud = [p99(scene.latencies) for scene in calm], [p99(scene.latencies) for scene in attacked]
    ratio = statistics.median(after / before for before, after in zip(quiet, loud, strict=True))
    messages = sum(len(scene.latencies) for scene in attacked)
    lost = sum(len(scene.unheard) for scene in attacked)
    return Row(name, statistics.median(quiet), statistics.median(loud), ratio, messages, lost)


def applicable(stage: Stage, name: str = "") -> list[Attack]:
    """The attacks for which this stage has the means, or the one of this name. Raises LabError where there is none."""
    levers = Levers.parse("", stage.levers)
    family = [one for one in attacks.catalogue("dos") if one.goals[0].applies(stage.number, levers)]
    chosen = [one for one in family if name in ("", one.name)]
    if not chosen:
        raise LabError(f"At stage {stage.number} there is {', '.join(one.name for one in family)}; {name} is not.")
    return chosen


def result(say: rows.Tell, rounds: int = 3) -> rows.Result:
    """The rows for the page, at the stage that has the means for all of them."""
    stage = stages.find(max(stages.catalogue()))
    made = rows.Result(limits=f"Stage {stage.number}, its default limits, a cap on its memory; {rounds} rounds.")
    for attack in applicable(stage):
        say(attack.name)
        (found,) = asyncio.run(measure(stage, [attack], rounds))
        missed = "Server, attacker and members share the cores: what the attack itself takes is in the figure."
        lost = f" {found.lost} of {found.messages} messages were late beyond the bound." if found.lost else ""
        made.rows.append(
            rows.Row(
                name=f"p99 under {found.attack}",
                ours=found.attacked,
                unit="ms",
                against="a calm scene",
                theirs=found.calm,
                target="calm",
                why="" if found.attacked <= TARGET * found.calm else missed + lost,
            )
        )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The latency of honest members under attack, against a calm day.")
    parser.add_argument("--stage", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attack", default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    stage = stages.find(options.stage)
    found = asyncio.run(measure(stage, applicable(stage, options.attack), options.rounds))
    if options.json:
        print(json.dumps({"stage": stage.number, "rounds": options.rounds, "results": [asdict(one) for one in found]}))
        return
    print(f"stage {stage.number}; p99 of what honest members say, in ms; the target is a ratio of {TARGET:g}\n")
    print(f"{'attack':<20}{'calm':>8}{'attacked':>10}{'ratio':>8}{'said':>7}{'lost':>6}")
    for one in found:
        print(f"{one.attack:<20}{one.calm:8.1f}{one.attacked:10.1f}{one.ratio:8.1f}{one.messages:7}{one.lost:6}")


if __name__ == "__main__":
    main()
