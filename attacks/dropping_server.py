"""A server that loses one message, and only one.

python -m attacks.dropping_server --stage 1
"""

from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.taken import kept_from, reaches, said_by
from common.messages import Message
from common.session import ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "room",
            "Bob misses one message of Alice's and is never told",
            wins="dropped-room",
            expected="BBBBH",
            ablation={5: "replay_protection=off"},
            remedy={3: "replay_protection=on", 4: "replay_protection=on"},
        ),
    ),
)
async def dropping_server(foothold: Foothold, goal: Goal) -> Claim:
    """Alice says two things. The server passes the first on to Carol and not to Bob, and the second to both. Alice saw
    her words leave, and Bob cannot miss what he never knew of, unless messages are counted.
    """
    taken = foothold.taken
    dropped: list[Message] = []

    def drop(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        bob = taken.server.room.session("bob")
        if dropped or not said_by("alice", session, message) or not reaches(bob, effects):
            return effects
        dropped.append(message)
        return kept_from(bob, effects)

    await foothold.until("talking")
    taken.hook = drop
    await foothold.until("over")
    return Claim(did=f"kept {len(dropped)} message of Alice's from Bob")


if __name__ == "__main__":
    from lab.attack_main import main

    main("dropping_server")
