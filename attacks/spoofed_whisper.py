"""A whisper from somebody who did not send it.

python -m attacks.spoofed_whisper --stage 1
"""

import asyncio
import secrets

from msgspec import json

from attacks import Claim, Foothold, Goal, attack
from attacks.exchange import unsealed


@attack(
    position="outsider",
    goals=(
        Goal(
            "whisper",
            'Bob shows a whisper from "Alice"',
            wins="forged-whisper",
            expected="BBHHH",
            ablation={3: "cipher=off", 4: "cipher=off", 5: "sealing=off"},
        ),
    ),
)
async def spoofed_whisper(foothold: Foothold, goal: Goal) -> Claim:
    """A datagram needs no connection and no invitation. Mallory has never joined; she knows Bob's address, because
    the roster tells it to everyone, and sends him one datagram that says it is from Alice. Where words are to be
    sealed with a key that she does not have, she sends them as they are, and hopes.
    """
    await foothold.until("talking")
    words = f"Change of plan: meet me at gate {secrets.randbelow(90) + 10}. Alice"
    fields = foothold.stage.messages["whisper"].__struct_encode_fields__
    whisper = unsealed(foothold.stage, "whisper", "alice", "bob", words)
    datagram = json.encode({name: value for name, value in whisper.items() if name in ("type", *fields)})
    with await foothold.host.bind_udp() as sock:
        await asyncio.get_running_loop().sock_sendto(sock, datagram, foothold.told("bob"))
    return Claim(did=f"sent Bob one datagram: {datagram.decode()}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("spoofed_whisper")
