"""Connections that say nothing.

python -m attacks.silent_connections --stage 1
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import held

NUMBER = 520
"""A few more than a server has places for."""


@attack(
    position="outsider",
    family="dos",
    goals=(Goal("places", "take every place that the server has", "starved", "HHHHH", ablation="limits=off"),),
)
async def silent_connections(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory connects, and says nothing; and connects again, five hundred times. It costs her a few packets, and every
    connection holds a place at the server. When all are taken, whoever comes next is turned away, and nobody has broken
    anything: she could simply be slow.
    """
    await foothold.until("talking")
    async with held(foothold, NUMBER) as connections:
        foothold.note(f"{len(connections)} connections stand, and are silent")
        await foothold.until("over")
    return Claim(did=f"held {len(connections)} connections without a word")


if __name__ == "__main__":
    from lab.attack_main import main

    main("silent_connections")
