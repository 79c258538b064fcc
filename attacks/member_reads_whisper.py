"""Reading what one member whispers to another.

python -m attacks.member_reads_whisper --stage 3
"""

import asyncio

from attacks import Claim, Foothold, Goal, attack
from attacks.words import memory_of, overhearing


@attack(
    position="insider",
    goals=(
        Goal(
            "whisper",
            "Carol reads what Alice whispers to Bob",
            wins="read-whisper",
            expected="BBBBH",
            ablation={5: "sealing=off"},
        ),
    ),
    taps=True,
)
async def member_reads_whisper(foothold: Foothold, goal: Goal) -> Claim:
    """Carol is a member, and sits on the same open Wi-Fi as Alice and Bob. What they whisper is not meant for her and
    never goes through the server; but her network card hears it, and whatever key the room has, she has too.
    """
    claim = Claim(did="listened, with what a member's client knows")
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set())
    await inside.wait()
    with overhearing(foothold, lambda: memory_of(client.session), claim.read):
        await foothold.until("alice-left")
    client.close()
    await client.ended.wait()
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("member_reads_whisper")
