"""Speaking as somebody who is there.

python -m attacks.member_forges --stage 1
"""

import asyncio
import secrets
from typing import Any

from attacks import Claim, Foothold, Goal, attack


@attack(
    position="insider",
    goals=(
        Goal(
            "room",
            "speak in the room as Alice, who is there",
            wins="forged-room",
            expected="BHHHH",
            ablation={
                2: "sender=from-message",
                3: "sender=from-message",
                4: "sender=from-message",
                5: "sender=from-message sealing=off",
            },
        ),
        Goal(
            "whisper",
            'Bob shows a whisper from "Alice" that Carol made',
            wins="forged-whisper",
            expected="BBBBH",
            ablation={5: "sealing=off"},
        ),
    ),
)
async def member_forges(foothold: Foothold, goal: Goal) -> Claim:
    """Carol is a member like any other, and has whatever key members have. Her client writes `"from":"carol"` into
    what she says because it is honest; Carol makes it write another name. Alice is in the room, and reads what she
    never said; or Bob gets a whisper from her that she never sent.
    """
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set())
    await inside.wait()
    await foothold.until("talking")
    words = f"I owe Carol {secrets.randbelow(900) + 100} euros."
    session: Any = client.session
    session.name = "alice"
    if hasattr(session, "counters"):
        session.counters.session += 1000  # should anybody check: later than all that Alice has sealed herself
    client.perform(session.say(words) if goal.name == "room" else session.whisper("bob", words))
    client.close()
    await client.ended.wait()
    return Claim(did=f"said with the name alice: {words}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("member_forges")
