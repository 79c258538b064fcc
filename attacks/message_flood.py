"""A member who says more than anybody can read.

python -m attacks.message_flood --stage 1
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import carol, flood, until_over
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
    client = await carol(foothold)
    said = [encode(e.message) for _ in range(TEXTS) for e in client.session.say(TEXT) if isinstance(e, Send)]
    sent = await until_over(foothold, flood(client, b"".join(said) * TIMES))
    return Claim(did=f"said {sent / 1e6:.1f} MB")


if __name__ == "__main__":
    from lab.attack_main import main

    main("message_flood")
