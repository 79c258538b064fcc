"""A server that speaks in a member's name.

python -m attacks.forging_server --stage 1
"""

import secrets
from typing import Any

from attacks import Claim, Foothold, Goal, attack, boxes
from attacks.exchange import exchanged, forge
from attacks.taken import Ghost, introduce_again, said_by
from common.messages import Message
from common.session import Send, ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "room",
            'Bob shows a room message of "Alice" that she never wrote',
            wins="forged-room",
            expected="BBBBH",
            ablation={5: "pinning=none"},
        ),
    ),
)
async def forging_server(foothold: Foothold, goal: Goal) -> Claim:
    """Bob believes the server when it says that a line is Alice's, so the server writes one itself. Where lines are
    sealed with a room key, it first asks Alice for that key under an invented name, as any newcomer would, and she
    gives it away; then it seals its line as hers, for the key is the same for all. Where every two members have a key
    of their own, it says that Alice has another key now, and seals with that.
    """
    taken = foothold.taken
    ghost = Ghost(foothold, "dora")
    heard: list[Any] = []

    def listen(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        if said_by("alice", session, message):
            heard.append(message)
        return [] if ghost.takes(message) else effects

    taken.hook = listen
    await foothold.until("talking")
    words = f"Bob, the code has changed; it is {secrets.randbelow(10**6):06d} now."
    if boxes.boxed(foothold.stage):
        between = boxes.BetweenBoxes(foothold.stage, foothold.note)
        introduce_again(foothold, between, ["alice"])
        forged: Any = boxes.make(foothold.stage, between.key("alice", "bob"), "alice", "bob", words)
    elif not exchanged(foothold.stage):
        forged = foothold.stage.messages["say"](sender="alice", text=words)
    elif await ghost.get_key("alice") and ghost.key:
        forged = forge(foothold.stage, ghost.key, heard[-1], words)
    else:
        return Claim(did="asked for the room key, and got none")
    bob = taken.server.room.session("bob")
    taken.perform(bob, [Send(forged, [bob])])
    return Claim(did=f"sent Bob a line of Alice's: {words}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("forging_server")
