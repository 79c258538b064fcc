"""A server that keeps somebody in the dark.

python -m attacks.isolating_server --stage 1
"""

from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.taken import kept_from, said_by
from common.messages import Left, Message
from common.session import Send, ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "withhold",
            "Bob gets nothing more of Alice's, and nobody is told",
            wins="isolated-room",
            expected="BBBBB",
        ),
        Goal(
            "lie",
            "the same, and the others hear that Bob left",
            wins="isolated-room",
            expected="BBBBB",
        ),
    ),
)
async def isolating_server(foothold: Foothold, goal: Goal) -> Claim:
    """From now on nothing that Alice says reaches Bob. He thinks that she is silent; she thinks that he listens, or
    hears from the server that he has left. No later message betrays the gap, because none comes: whoever carries all
    messages can always carry none, and no cryptography makes them.
    """
    taken = foothold.taken
    withheld: list[Message] = []

    def withhold(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        if goal.name == "lie" and said_by("bob", session, message):
            return []  # whoever has left says nothing
        if not said_by("alice", session, message):
            return effects
        withheld.append(message)
        return kept_from(taken.server.room.session("bob"), effects)

    await foothold.until("talking")
    taken.hook = withhold
    if goal.name == "lie":
        bob = taken.server.room.session("bob")
        taken.perform(bob, [Send(Left(name="bob"), taken.server.room.all_but(bob))])
    await foothold.until("over")
    return Claim(did=f"kept {len(withheld)} messages of Alice's from Bob")


if __name__ == "__main__":
    from lab.attack_main import main

    main("isolating_server")
