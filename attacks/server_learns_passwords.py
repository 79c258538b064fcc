"""Keeping the passwords that one is given.

python -m attacks.server_learns_passwords --stage 2
"""

from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.taken import words
from common.messages import Message
from common.session import ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "password",
            "know a member's password",
            wins="read-password",
            expected="-BBBB",
            absent="nobody has a password here",
        ),
    ),
)
async def server_learns_passwords(foothold: Foothold, goal: Goal) -> Claim:
    """The database holds only slow, salted hashes, and they were never needed: to have a password checked, Alice sends
    it. Whoever runs the server, or has broken into it, writes down what arrives before it is hashed.
    """
    claim = Claim(did="wrote down what members sent when they came in")

    def note_down(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        claim.read.extend(words(message))
        return effects

    foothold.taken.hook = note_down
    await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("server_learns_passwords")
