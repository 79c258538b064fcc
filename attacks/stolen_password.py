"""Logging in with a password that was heard.

python -m attacks.stolen_password --stage 2
"""

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from attacks import Claim, Foothold, Goal, attack
from attacks.tap import tapped
from common.session import Show

if TYPE_CHECKING:
    from attacks.listener import Heard

AHEAD: Final = 1_000
"""Where messages are counted, Eve begins to count so far behind Alice's last: nobody knows how often Alice has started.
"""


@attack(
    position="tap",
    goals=(
        Goal(
            "room",
            "log in as Alice, who has left, and speak in the room",
            wins="forged-room",
            expected="-BBHH",
            absent="nobody has a password here",
            ablation={4: "transport=tcp", 5: "transport=tcp pinning=none"},
            what_ifs={3: {"key_exchange=passphrase": "H"}},
        ),
    ),
)
async def stolen_password(foothold: Foothold, goal: Goal) -> Claim:
    """The server asks for a password now, and keeps only a slow hash of it. Eve listens while Alice logs in: on its way
    to the server the password is a word like any other. When Alice has gone, Eve logs in with it, and is Alice.
    """
    heard: list[Heard] = []
    with tapped(foothold, heard.append):
        await foothold.until("alice-left")
    passwords = [h.fields["password"] for h in heard if "password" in h.fields and h.fields.get("name") == "alice"]
    if not passwords:
        return Claim(did="listened to Alice logging in, and heard no password")
    foothold.note(f"Alice's password: {passwords[-1]}")
    words = f"Bob, please send 100 to account {secrets.randbelow(10**8):08d}."
    inside = asyncio.Event()

    def look(show: Show) -> None:
        foothold.note(f"Eve's screen: {show.text}")
        if show.text.startswith("here: "):
            inside.set()

    client = await foothold.enter("alice", look, passwords[-1])
    over = asyncio.create_task(client.ended.wait())
    came_in = asyncio.create_task(inside.wait())
    await asyncio.wait([over, came_in], return_when=asyncio.FIRST_COMPLETED)
    came_in.cancel()
    counters = getattr(client.session, "counters", None)
    if counters:
        counters.session += AHEAD
    client.typed(words)
    client.close()
    await over
    return Claim(did=f"logged in as alice with the password that was heard, and said: {words}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("stolen_password")
