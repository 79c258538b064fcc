"""A member who says more than anybody can read.

python -m attacks.message_flood --stage 1
"""

import asyncio
import contextlib

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import Spate
from common.session import Send
from common.wire import encode

TEXTS, TIMES = 400, 100
TEXT = "and so on"


@attack(
    position="insider",
    family="dos",
    goals=(
        Goal(
            "room",
            "bury what the others say under what one says",
            "starved",
            "HHHHH",
            ablation="limits=off",
        ),
    ),
)
async def message_flood(foothold: Foothold, goal: Goal) -> Claim:
    """Carol says something to the room, and again, as fast as her network carries it. Every message is right. The
    server passes each on to everybody, and what Alice says in between stands in the same queue as all of Carol's: at
    the server, on the way, in Bob's client.
    """
    await foothold.until("talking")
    client = await foothold.enter("carol", lambda show: None)
    said: list[bytes] = []
    while not said:  # the room key, or the others' keys, have not come yet
        await asyncio.sleep(0.05)
        said = [encode(e.message) for _ in range(TEXTS) for e in client.session.say(TEXT) if isinstance(e, Send)]
    spate = Spate.through(client, b"".join(said) * TIMES)
    talking = asyncio.create_task(spate.run())
    await foothold.until("over")
    talking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await talking
    spate.give_back(client)
    return Claim(did=f"said {spate.sent / 1e6:.1f} MB")


if __name__ == "__main__":
    from lab.attack_main import main

    main("message_flood")
