"""Listening on, after having been shown the door.

python -m attacks.departed --stage 3
"""

import asyncio

from attacks import Claim, Foothold, Goal, attack
from attacks.words import memory_of, overhearing


@attack(
    position="departed",
    goals=(
        Goal(
            "room",
            "read what Alice says after Carol has left",
            wins="read-later-room",
            expected="BBBHH",
            ablation={4: "transport=tcp", 5: "transport=tcp sealing=off"},
        ),
        Goal(
            "whispers",
            "read what Alice whispers after Carol has left",
            wins="read-later-whisper",
            expected="BBBBH",
            ablation={5: "sealing=off"},
        ),
    ),
)
async def departed(foothold: Foothold, goal: Goal) -> Claim:
    """Carol's account was removed and her connection closed. What she cannot be made to give back is what she knows:
    her client's memory, and a place on the same open Wi-Fi. She goes on listening.
    """
    claim = Claim(did="listened after leaving, with what a member's client remembers")
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set())
    await inside.wait()
    await foothold.until("departed")
    await client.ended.wait()
    with overhearing(foothold, lambda: memory_of(client.session), claim.read):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("departed")
