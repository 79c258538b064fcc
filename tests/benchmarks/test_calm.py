"""The latency under attack: what is made of what was measured."""

import pytest

import stages
from benchmarks.calm import TimedScene, applicable, p99, row
from common.errors import LabError
from common.levers import Levers
from common.loopback import Loopback
from lab.scene import Spoken


def scene(latencies: list[float], lost: int = 0) -> TimedScene:
    """A scene that is over, in which so much was said."""
    stage, network = stages.find(1), Loopback()
    network.close()
    over = TimedScene(stage, Levers.parse("", stage.levers), network, lambda place, row: None)
    over.latencies = latencies
    over.unheard = [Spoken("alice", "room", "", "hello")] * lost
    return over


def test_p99_is_exceeded_by_one_in_a_hundred() -> None:
    assert p99([number / 1000 for number in range(1, 101)]) == 99
    assert p99([0.003]) == 3
    with pytest.raises(LabError, match="Nothing was said"):
        p99([])


def test_ratio_is_of_neighbouring_scenes_and_what_was_lost_is_told() -> None:
    one = row(
        "flood", [scene([0.001]), scene([0.002]), scene([0.001])], [scene([0.004], 1), scene([0.002]), scene([0.003])]
    )
    assert (one.calm, one.attacked, one.ratio) == (1, 3, 3)
    assert (one.messages, one.lost) == (3, 1)


def test_attack_without_means_at_a_stage_is_not_measured_there() -> None:
    assert "hash_exhaustion" not in [attack.name for attack in applicable(stages.find(1))]
    assert [attack.name for attack in applicable(stages.find(2), "hash_exhaustion")] == ["hash_exhaustion"]
    with pytest.raises(LabError, match="handshake_flood is not"):
        applicable(stages.find(1), "handshake_flood")
