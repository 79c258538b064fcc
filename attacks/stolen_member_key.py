"""Opening a recording with a key that was stolen later.

python -m attacks.stolen_member_key --stage 3
"""

import msgspec

from attacks import Claim, Foothold, Goal, attack, boxes, exchange
from attacks.words import kind_of, message_in


@attack(
    position="thief",
    goals=(
        Goal(
            "room",
            "open what was recorded before the key was stolen",
            wins="read-room",
            restarts=True,
            expected="--BBB",
            absent="nothing is encrypted here: the recording can be read without a key",
        ),
    ),
)
async def stolen_member_key(foothold: Foothold, goal: Goal) -> Claim:
    """The server cannot read what it relays, but it keeps a record of it. Hours later Mallory gets hold of that record,
    and of one member's computer, with the keys in its memory. The key that opens what is said now is the key that
    opened what was said before: one theft opens the past as well.
    """
    await foothold.until("alice-left")
    loot = foothold.loot
    say = foothold.stage.messages["say"]
    recorded = [msgspec.json.decode(line, type=say) for line in loot.relayed if b'"type":"say"' in line]
    keys = [*loot.keys.values()]
    if boxes.boxed(foothold.stage):  # a private key, and the public ones that the server told everybody
        announced = [message_in(foothold.stage, line) for line in loot.relayed]
        keys = boxes.agreed(keys, [message for message in announced if kind_of(message) in ("roster", "joined")])
    opened = [exchange.read(foothold.stage, key, sealed) for sealed in recorded for key in keys]
    for text in filter(None, opened):
        foothold.note(f"opened: {text}")
    return Claim(
        read=[text for text in opened if text],
        did=f"tried what may be keys in Bob's memory ({', '.join(loot.keys)}) on {len(recorded)} recorded messages",
    )


if __name__ == "__main__":
    from lab.attack_main import main

    main("stolen_member_key")
