"""The soak, for seconds instead of minutes; and it sees what it is there to see."""

import asyncio
import random

import pytest

from common.session import Show
from tests.faults.conftest import WHOLE
from tests.faults.soak import GROWTH_KIB, main, of_memory
from tests.faults.soak_members import Ledger

QUICK = ("--levers", "password_hash=salted-sha256")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5] if WHOLE else [3])
def test_ten_seconds_lose_and_double_nothing_and_leave_nothing_behind(number: int, dice: random.Random) -> None:
    levers = QUICK if number > 1 else ()
    arguments = ["--minutes", "0.17", "--stage", str(number), "--members", "50", "--seed", str(dice.randrange(1 << 32))]
    assert main([*arguments, *levers]) == 0


def heard(*texts: str, sender: str = "bob") -> list[str]:
    """What the ledger finds wrong with what one judge sees."""

    async def judged() -> list[str]:
        ledger = Ledger()
        ledger.judges = {"alice"}
        for _ in range(3):
            ledger.text("bob")
        for text in texts:
            ledger.hears("alice", Show("room", text, sender=sender))
        return ledger.wrong + ledger.missing()

    return asyncio.run(judged())


def test_ledger_sees_what_is_lost_doubled_late_or_forged() -> None:
    assert heard("bob 1", "bob 2", "bob 3") == []
    assert heard("bob 1", "bob 3")[0] == "alice missed bob 2 to 2"
    assert heard("bob 1", "bob 2", "bob 2", "bob 3") == ["alice saw bob 2 after 2, from bob"]
    assert heard("bob 1", "bob 2") == ["alice has 2 of 3 of bob's"]
    assert len(heard("bob 1", "bob 2", "bob 3", sender="carol")) == 3


def test_memory_that_grows_is_seen() -> None:
    flat = [(float(second), 40_000 + second % 7) for second in range(300)]
    assert of_memory(flat, 300)[1] == []
    leaking = [(float(second), 40_000 + second * 20) for second in range(300)]
    assert of_memory(leaking, 300)[1] != []
    grown = [(float(second), 40_000 + (second > 200) * 2 * GROWTH_KIB) for second in range(300)]
    assert of_memory(grown, 10)[1] != []
