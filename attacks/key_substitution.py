"""Keys of the server's own, in other people's names.

python -m attacks.key_substitution --stage 3
"""

from collections.abc import Sequence
from typing import Any

from attacks import Claim, Foothold, Goal, attack
from attacks.boxes import BetweenBoxes
from attacks.exchange import between as between_members
from attacks.taken import mailboxes
from attacks.words import words_of
from common.messages import Message
from common.session import Send, ServerEffect

ABSENT = "members have no keys here that could be exchanged"
NO_EXCHANGE = {3: {"key_exchange=passphrase": "H"}, 4: {"key_exchange=passphrase": "H"}}


@attack(
    position="server",
    goals=(
        Goal(
            "first_contact",
            "read between two who never compared keys",
            wins="read-room",
            expected="--BBB",
            absent=ABSENT,
            remedy={5: "pinning=verified"},
            what_ifs=NO_EXCHANGE,
        ),
        Goal(
            "after_pin",
            "read between two who talked before",
            wins="read-later-room",
            restarts=True,
            expected="--BBH",
            absent=ABSENT,
            ablation={5: "pinning=none"},
            what_ifs=NO_EXCHANGE,
        ),
    ),
)
async def key_substitution(foothold: Foothold, goal: Goal) -> Claim:
    """Alice and Bob learn each other's public keys from the server, and the server hands out its own instead. When Bob
    asks Alice for the room key, each of them agrees on a key with the server, which passes the room key on and keeps
    a copy: nothing says whose public key it is. Where each member's key stands in the roster, it writes its own there,
    and its own address too, so that whispers come to it and are sealed anew. If it missed the first moment, it waits
    until Bob comes back.
    """
    stage = foothold.stage
    between = between_members(stage, foothold.note)
    sealed: list[Any] = []

    def substitute(send: Send) -> list[ServerEffect]:
        """The same to each recipient, but for the keys and the addresses."""
        recipients: Sequence[Any] = send.to
        return [Send(mail.announce(between.carry(send.message, to.name), to.name), [to]) for to in recipients]

    def carry(session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        if not meddling:
            return effects
        if isinstance(message, stage.messages["say"]):
            sealed.append(message)
        return [one for e in effects for one in (substitute(e) if isinstance(e, Send) else [e])]

    meddling = goal.name == "first_contact"
    async with mailboxes(foothold, between.carry if isinstance(between, BetweenBoxes) else None) as mail:
        foothold.taken.hook = carry
        if not meddling:
            await foothold.until("talking")
            meddling = True
        await foothold.until("over")
    texts = [words_of(stage, message, between.keys) for message in sealed]
    return Claim(read=[text for text in texts if text], did="put keys of its own in place of the members'")


if __name__ == "__main__":
    from lab.attack_main import main

    main("key_substitution")
