"""Reading what one was only asked to pass on.

python -m attacks.curious_server --stage 1
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
            "room",
            "read a room message",
            wins="read-room",
            expected="BBHHH",
            ablation={3: "cipher=off", 4: "cipher=off", 5: "sealing=off"},
        ),
    ),
)
async def curious_server(foothold: Foothold, goal: Goal) -> Claim:
    """The server does its work faultlessly, and reads along. Everything that is said goes through it, so nobody can
    notice. Only what was encrypted before it left Alice's machine, under a key that the server has not, stays hers.
    """
    claim = Claim(did="read what it passed on")

    def read_along(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        claim.read.extend(words(message))
        return effects

    foothold.taken.hook = read_along
    await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("curious_server")
