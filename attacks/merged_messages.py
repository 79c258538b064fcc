"""Making somebody else's message vanish, where messages end wherever `recv` happens to end.

python -m attacks.merged_messages --stage 1 --levers framing=none
"""

import asyncio

from attacks import Claim, Foothold, Goal, attack
from common.client import Client

TURNS = 200
"""For so many turns of the event loop Carol keeps talking; Alice's next message falls among them."""
WARM_UP = 20
"""And for so many before Alice may speak."""


@attack(
    position="insider",
    goals=(
        Goal(
            "miss",
            "Bob misses a message of Alice's",
            wins="missed-room",
            expected="HHHHH",
            ablation="framing=none",
        ),
    ),
)
async def merged_messages(foothold: Foothold, goal: Goal) -> Claim:
    """Carol chatters without a pause while Alice speaks. What the server relays in one turn reaches Bob together: a
    line of Carol's and, right behind it, Alice's. A client that takes whatever arrives together for one message shows
    Carol's and loses Alice's. Where every message ends with a newline, Carol is only a nuisance.
    """
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set())
    await inside.wait()
    await foothold.until("talking")
    await _chatter(client, range(WARM_UP))  # so that hers are always under way, and come first
    chatter = asyncio.create_task(_chatter(client, range(WARM_UP, TURNS)))
    await foothold.until("alice-left")
    chatter.cancel()
    client.close()
    await client.ended.wait()
    return Claim(did="kept talking while Alice spoke")


async def _chatter(client: Client, turns: range) -> None:
    for turn in turns:
        client.typed(f"bla {turn}")
        await asyncio.sleep(0)


if __name__ == "__main__":
    from lab.attack_main import main

    main("merged_messages")
