"""The attacks on availability, for real: a few cells here, all of them in `make matrix FAMILY=dos ABLATIONS=1`."""

import asyncio
import sys

import pytest

import attacks
import stages
from attacks import Attack, Goal
from common.levers import Levers
from lab import flooded
from lab.bench import Bench, Cell

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the cap on the server's memory is read from /proc"),
]
FAMILY = attacks.catalogue("dos")
GOALS = [(attack, goal) for attack in FAMILY for goal in attack.goals]
NAMES = [attack.name for attack in FAMILY]
HASTY = 2.5
"""Seconds for what is not to come; on a calm machine what does come takes milliseconds."""
FIRST = {"hash_exhaustion": 2, "churn": 2, "handshake_flood": 4}


def cell(name: str, stage: int, levers: str) -> Cell:
    """One attack against one stage."""

    async def run() -> Cell:
        async with Bench.open() as bench:
            there, attack = stages.find(stage), attacks.find(name)
            turned = Levers.parse(levers, there.levers)
            await bench.controlled(there, turned)
            return await bench.cell(there, turned, attack, attack.goals[0])

    return asyncio.run(run())


def test_family_is_whole_and_not_in_the_matrix_of_all() -> None:
    assert set(NAMES) == {
        *("silent_connections", "slow_logins", "stopped_reader", "giant_lines", "message_flood", "churn"),
        *("hash_exhaustion", "handshake_flood", "datagram_flood"),
    }
    assert not {attack.name for attack in attacks.catalogue()} & set(NAMES)


@pytest.mark.parametrize(("attack", "goal"), GOALS, ids=NAMES)
def test_each_is_held_where_its_means_exists_and_names_what_breaks_it(attack: Attack, goal: Goal) -> None:
    first = FIRST.get(attack.name, 1)
    assert goal.expected == "-" * (first - 1) + "H" * (len(stages.catalogue()) - first + 1)
    assert bool(goal.absent) == (first > 1)
    assert goal.ablation == "limits=off"
    assert goal.wins == "starved"


@pytest.mark.parametrize(
    ("name", "stage"), [("silent_connections", 1), ("stopped_reader", 1), ("hash_exhaustion", 2), ("datagram_flood", 3)]
)
def test_limits_are_what_holds_it(name: str, stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flooded, "TALK_SECONDS", 2.0)  # in which it is broken, so to be held is something
    held = cell(name, stage, "")
    monkeypatch.setattr(flooded, "BOUND_SECONDS", HASTY)
    broken = cell(name, stage, "limits=off")
    assert (held.verdict, held.expected) == ("held", "held"), held.reason
    assert (broken.verdict, broken.expected) == ("broken", "broken"), broken.reason


def test_thread_for_each_client_is_frozen_by_one_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flooded, "BOUND_SECONDS", HASTY)
    frozen = cell("stopped_reader", 1, "runtime=threads")
    assert frozen.verdict == frozen.expected == "broken"
