"""The man in the middle: everything goes through Mallory, who reads, changes and adds.

python -m attacks.mitm --stage 1 --goal modify
"""

import secrets

from msgspec import json

from attacks import Claim, Foothold, Goal, attack, exchange
from attacks.boxes import boxed
from attacks.on_path import Splice, on_path
from attacks.terminate import terminating
from attacks.words import kind_of, message_in, reworded, words_of
from common.loopback import Intercepted
from common.session import Address


@attack(
    position="on-path",
    goals=(
        Goal(
            "read",
            "read a room message",
            wins="read-room",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none"},
            what_ifs={3: {"key_exchange=passphrase": "H"}, 4: {"verify=none key_exchange=passphrase": "H"}},
        ),
        Goal(
            "modify",
            "Bob shows other words than Alice typed",
            wins="altered-room",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none"},
        ),
        Goal(
            "insert",
            "Bob shows what Alice never sent",
            wins="inserted-room",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none"},
        ),
        Goal(
            "whispers",
            "read a whisper, or change it",
            wins="read-or-altered-whisper",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none"},
        ),
    ),
)
async def mitm(foothold: Foothold, goal: Goal) -> Claim:
    """On a switched network nothing comes by Mallory by itself. So she lies: she tells every host, by ARP, that all
    the others are at her own network card. From then on the connections to the server end at her, and go on from her;
    whoever carries a line can read it, write another in its place, or add one. Where newcomers agree on a key with a
    member, each of the two agrees with Mallory instead, and she passes the room key on, having read it.
    """
    stage = foothold.stage
    claim = Claim(did=f"carried every connection ({goal.name})")
    number = f"{secrets.randbelow(10**6):06d}"
    between = exchange.between(stage, foothold.note)
    added: dict[str | None, int] = {}

    def rewrite(line: bytes) -> list[bytes]:
        message = message_in(stage, line)
        if message is None:
            return [line]
        words = words_of(stage, message, between.keys)
        if words is None:
            return [json.encode(between.carry(message, ""))]
        claim.read.append(words)
        foothold.note(f"{message.sender} says: {words}")
        if message.sender != "alice" or goal.name not in ("modify", "insert"):
            return [json.encode(between.carry(message, ""))]
        if goal.name == "modify":
            claim.did = f"changed Alice's words to a door code of her own, {number}"
            said = [f"Good morning! The door code is {number}."]
        else:
            claim.did = f"added a line of Alice's, with the number {number}"
            said = [words, f"And please call {number}."]
        so_far = added.get(message.to, 0)
        lines = [reworded(stage, message, between.keys, text, ahead=so_far + i) for i, text in enumerate(said)]
        added[message.to] = so_far + len(said) - 1  # so that whoever counts misses none and sees none twice
        return [json.encode(between.carry(line, "")) for line in lines]

    def answer(line: bytes, address: str) -> list[bytes]:
        message = message_in(stage, line)
        if kind_of(message) not in ("roster", "joined"):
            return [line]
        return [json.encode(between.carry(message, foothold.name_of(address)))]

    def rewrite_whisper(payload: bytes, source: Address, target: Address) -> bytes:
        whisper = message_in(stage, payload)
        words = words_of(stage, whisper, between.keys)
        if words is None:
            return payload
        if goal.name != "whispers":
            return json.encode(between.carry(whisper, whisper.to))
        claim.read.append(words)
        claim.did = f"read a whisper and changed it to a number of her own, {number}"
        foothold.note(f"{whisper.sender} whispers: {words}")
        changed = reworded(stage, whisper, between.keys, f"Between us: the safe opens with {number}.")
        return json.encode(between.carry(changed, whisper.to))

    async def carry(intercepted: Intercepted) -> None:
        at = intercepted.client[0]
        await Splice(intercepted, rewrite, lambda line: answer(line, at)).run()

    async with on_path(
        foothold,
        terminating(carry, foothold.note),
        rewrite_whisper if goal.name == "whispers" or boxed(stage) else None,
    ):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("mitm")
