"""Seeing that somebody says the same thing again, without reading it.

python -m attacks.repeated_text --stage 1
"""

import base64
import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from attacks import TRIALS, Claim, Foothold, Goal, attack
from attacks.tap import tapped

if TYPE_CHECKING:
    from attacks.listener import Heard

FRESH: Final = {"counter", "nonce"}
"""Fields that differ in every message, whatever it says."""


@attack(
    position="tap",
    goals=(
        Goal(
            "room",
            "tell whether two texts of equal length are the same",
            wins="guessed",
            expected="BBHHH",
            trial="same-text",
            ablation={3: "cipher=aes-256-ecb", 4: "transport=tcp cipher=aes-256-ecb", 5: "transport=tcp sealing=off"},
            what_ifs={
                3: {
                    "cipher=chacha20-poly1305": "H",
                    "cipher=aes-256-ctr": "H",
                    "cipher=aes-256-ecb": "B",
                    "cipher=off": "B",
                }
            },
        ),
    ),
)
async def repeated_text(foothold: Foothold, goal: Goal) -> Claim:
    """Alice says two things of the same length, twenty times; now and then the second is the first again. Eve does not
    have to read them. She only looks whether what went over the wire is the same twice, and where equal texts make
    equal ciphertexts, it is. Orders, answers and votes are often one of a few texts.
    """
    claim = Claim(did="looked for the same bytes twice")
    heard: list[Heard] = []
    with tapped(foothold, heard.append) as hear:
        await foothold.until("talking")
        alice = foothold.told("alice")[0]
        for _ in range(TRIALS):
            hear()
            heard.clear()
            await foothold.trial()
            hear()
            said = [
                _lasting(h.fields)
                for h in heard
                if h.source[0] == alice and h.fields["type"] == "say" and h.fields.get("to") in (None, "bob")
            ]
            again = len(set(said)) < len(said)
            foothold.note(f"Alice sent {len(said)} messages, {'one of them twice' if again else 'no two alike'}")
            claim.guesses.append(int(again))
    return claim


def _lasting(fields: dict[str, Any]) -> bytes:
    """All of a message that would be the same if the same were said again; what is only encoded is looked into."""
    if "ciphertext" in fields:
        with contextlib.suppress(ValueError):
            fields = fields | msgspec.json.decode(base64.b64decode(fields["ciphertext"]), type=dict[str, Any])
            del fields["ciphertext"]
    return msgspec.json.encode({name: value for name, value in fields.items() if name not in FRESH}, order="sorted")


if __name__ == "__main__":
    from lab.attack_main import main

    main("repeated_text")
