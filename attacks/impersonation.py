"""Speaking as somebody who is not there.

python -m attacks.impersonation --stage 1
"""

import asyncio
import secrets

from attacks import Claim, Foothold, Goal, attack
from common.session import Show


@attack(
    position="outsider",
    goals=(
        Goal(
            "room",
            "speak in the room as Alice, who has left",
            wins="forged-room",
            expected="BHHHH",
            ablation={
                2: "authentication=off",
                3: "authentication=off",
                4: "authentication=off",
                5: "authentication=off pinning=none",
            },
        ),
    ),
)
async def impersonation(foothold: Foothold, goal: Goal) -> Claim:
    """Alice has gone home. Mallory starts the ordinary client, gives the name alice, and asks Bob for money. Where
    nothing in the protocol asks who she is, that is all it takes.
    """
    await foothold.until("alice-left")
    words = f"Bob, please send 100 to account {secrets.randbelow(10**8):08d}."
    inside = asyncio.Event()

    def look(show: Show) -> None:
        foothold.note(f"Mallory's screen: {show.text}")
        if show.text.startswith("here: "):
            inside.set()

    client = await foothold.enter("alice", look)
    over = asyncio.create_task(client.ended.wait())
    came_in = asyncio.create_task(inside.wait())
    await asyncio.wait([over, came_in], return_when=asyncio.FIRST_COMPLETED)
    came_in.cancel()
    if not inside.is_set():
        return Claim(did="gave the name alice, and was not let in")
    client.typed(words)
    client.close()
    await over
    return Claim(did=f"joined as alice and said: {words}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("impersonation")
