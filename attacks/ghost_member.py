"""A member who does not exist.

python -m attacks.ghost_member --stage 3
"""

from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.taken import Ghost
from attacks.words import words_of
from common.messages import Message
from common.session import ServerEffect


@attack(
    position="server",
    goals=(
        Goal(
            "room",
            "an invented member reads the room",
            wins="read-later-room",
            expected="--BBB",
            absent="the server reads every message here without inventing anybody",
            remedy={5: "pinning=verified"},
            what_ifs={3: {"key_exchange=passphrase": "H"}, 4: {"key_exchange=passphrase": "H"}},
        ),
    ),
)
async def ghost_member(foothold: Foothold, goal: Goal) -> Claim:
    """Who is in the room is what the server says. It says that Dora has come; everybody's screen greets her; she asks
    for the room key and is given it. There is no Dora: the server reads along with the key that she was given.
    """
    ghost = Ghost(foothold, "dora")
    sealed: list[Any] = []

    def carry(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        if isinstance(message, foothold.stage.messages["say"]):
            sealed.append(message)
        return [] if ghost.takes(message) else effects

    await foothold.until("talking")
    foothold.taken.hook = carry
    ghost.announce()
    await ghost.get_key("alice")
    await foothold.until("over")
    texts = [words_of(foothold.stage, message, [ghost.key]) for message in sealed] if ghost.key else []
    return Claim(read=[text for text in texts if text], did="invented a member, for whom the others seal what they say")


if __name__ == "__main__":
    from lab.attack_main import main

    main("ghost_member")
