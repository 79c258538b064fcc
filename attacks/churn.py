"""A member who comes and goes without end.

python -m attacks.churn --stage 2
"""

import asyncio
import contextlib

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import until_over
from common.errors import LabError

AT_ONCE = 240
"""Fewer than the places that one address has: they shall be let in."""
ROUNDS = 20


@attack(
    position="insider",
    family="dos",
    goals=(
        Goal(
            "logins",
            "make everybody who logs in wait behind a member who does nothing else",
            "starved",
            "-HHHH",
            ablation="limits=off",
            absent="to come in costs a server without passwords so little that one member cannot make it scarce",
        ),
    ),
)
async def churn(foothold: Foothold, goal: Goal) -> Claim:
    """Carol has an account, and her password is right. She logs in, and again from the next window, which ends the
    first session, and so on, two hundred windows side by side. No rule about guesses applies to her. Each time the
    server hashes, tells the room that she left, and that she came.
    """
    await foothold.until("talking")
    came = await until_over(foothold, *(come_and_go(foothold) for _ in range(AT_ONCE)))
    return Claim(did=f"connected {came} times")


async def come_and_go(foothold: Foothold) -> int:
    """One session after the other: the next as soon as this one was ended by another. Returns how many there were."""
    came = 0
    with contextlib.suppress(asyncio.CancelledError, LabError):
        for _ in range(ROUNDS):
            client = await foothold.enter("carol", lambda show: None)
            came += 1
            await client.ended.wait()
    return came


if __name__ == "__main__":
    from lab.attack_main import main

    main("churn")
