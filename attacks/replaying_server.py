"""A server that says again what somebody said.

python -m attacks.replaying_server --stage 1
"""

from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.taken import said_by
from common.messages import Message
from common.session import Send, ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "room",
            "a room message is shown twice",
            wins="replayed-room",
            expected="BBBBH",
            ablation={5: "replay_protection=off"},
            remedy={3: "replay_protection=on", 4: "replay_protection=on"},
        ),
    ),
)
async def replaying_server(foothold: Foothold, goal: Goal) -> Claim:
    """The server passes Alice's message on to Bob, keeps a copy, and passes that on later. It need not be able to read
    it, or to change it: it is Alice's own message, sealed by her.
    """
    taken = foothold.taken
    passed_on: list[Send] = []

    def keep(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        if said_by("alice", session, message):
            bob = taken.server.room.session("bob")
            passed_on.extend(e for e in effects if isinstance(e, Send) and bob in e.to)
        return effects

    taken.hook = keep
    await foothold.until("talking")
    bob = taken.server.room.session("bob")
    taken.perform(bob, [Send(passed_on[-1].message, [bob])])
    return Claim(did="sent Bob a message of Alice's a second time")


if __name__ == "__main__":
    from lab.attack_main import main

    main("replaying_server")
