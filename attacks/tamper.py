"""Changing what somebody says without being able to read it.

python -m attacks.tamper --stage 3 --levers cipher=aes-256-ctr
"""

import base64
import json
from typing import Any, Final

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from common.loopback import Intercepted

KNOWN: Final = b"I have to go now."
"""What Alice says whenever she leaves."""
WANTED: Final = b"I owe Mallory 90."
BLOCK: Final = 16


@attack(
    position="on-path",
    goals=(
        Goal(
            "room",
            "Bob shows words that Alice never wrote",
            wins="forged-room",
            expected="BBHHH",
            ablation={3: "cipher=aes-256-ctr", 4: "transport=tcp cipher=aes-256-ctr", 5: "transport=tcp sealing=off"},
            what_ifs={
                3: {
                    "cipher=chacha20-poly1305": "H",
                    "cipher=aes-256-ctr": "B",
                    "cipher=aes-256-ecb": "B",
                    "cipher=off": "B",
                }
            },
        ),
    ),
)
async def tamper(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory came too late to meddle with any key. But the bytes still go through her hands, and Alice says the same
    thing whenever she leaves. Mallory works out which bits differ between that and what she would rather read, and
    flips them; where she sees whole blocks instead, she puts a block of today before blocks of this morning.
    """
    claim = Claim(did="changed nothing")
    earlier: list[bytes] = []
    late = False

    def rewrite(address: str, piece: bytes) -> list[bytes]:
        if foothold.name_of(address) != "alice":
            return [piece]
        field, said = _said(piece)
        if not late:
            earlier.extend([_bytes(field, said)] if field else [])
            return [piece]
        if not field:  # not even the messages can be told apart: flip a bit of whatever this is
            claim.did = f"flipped a bit in {len(piece)} bytes of Alice's"
            return [piece[:-1] + bytes([piece[-1] ^ 1])]
        changed = _changed(_bytes(field, said), earlier, nonce=bool(said.get("nonce")))
        said[field] = changed.decode() if field == "text" else base64.b64encode(changed).decode()
        claim.did = f"changed the bytes of what Alice says on leaving, so that it might read: {WANTED.decode()}"
        foothold.note(claim.did)
        return [json.dumps(said).encode()]

    async def carry(intercepted: Intercepted) -> None:
        await Splice(intercepted, lambda piece: rewrite(intercepted.client[0], piece)).run()

    async with on_path(foothold, carry):
        await foothold.until("talking")
        late = True
        await foothold.until("over")
    return claim


def _said(piece: bytes) -> tuple[str, dict[str, Any]]:
    """The field of a `say` that holds the words, plain or sealed, and the message; no field where it is none."""
    try:
        message = json.loads(piece)
    except ValueError:
        return "", {}
    if not isinstance(message, dict) or message.get("type") != "say":
        return "", {}
    return next((field for field in ("text", "ciphertext") if field in message), ""), message


def _bytes(field: str, message: dict[str, Any]) -> bytes:
    words = str(message[field])
    return words.encode() if field == "text" else base64.b64decode(words)


def _changed(said: bytes, earlier: list[bytes], *, nonce: bool) -> bytes:
    """Other bytes in place of those of KNOWN, without a key."""
    if KNOWN in said:
        return said.replace(KNOWN, WANTED)
    if earlier and len(said) % BLOCK == 0 and not nonce:
        return said[:BLOCK] + earlier[0][BLOCK:]  # blocks that depend on nothing can be moved (ECB)
    flips = bytes(known ^ wanted for known, wanted in zip(KNOWN, WANTED, strict=True))
    return bytes(byte ^ flip for byte, flip in zip(said, flips.ljust(len(said), b"\0"), strict=False))


if __name__ == "__main__":
    from lab.attack_main import main

    main("tamper")
