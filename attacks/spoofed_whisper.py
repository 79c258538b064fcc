"""A whisper from somebody who did not send it.

python -m attacks.spoofed_whisper --stage 1
"""

import asyncio
import secrets

from attacks import Claim, Foothold, Goal, attack
from common.messages import Whisper
from common.wire import encode_datagram


@attack(
    position="outsider",
    goals=(Goal("whisper", 'Bob shows a whisper from "Alice"', wins="forged-whisper", expected="B"),),
)
async def spoofed_whisper(foothold: Foothold, goal: Goal) -> Claim:
    """A datagram needs no connection and no invitation. Mallory has never joined; she knows Bob's address, because
    the roster tells it to everyone, and sends him one datagram that says it is from Alice.
    """
    await foothold.until("talking")
    words = f"Change of plan: meet me at gate {secrets.randbelow(90) + 10}. Alice"
    datagram = encode_datagram(Whisper(sender="alice", to="bob", text=words))
    with await foothold.host.bind_udp() as sock:
        await asyncio.get_running_loop().sock_sendto(sock, datagram, foothold.told("bob"))
    return Claim(did=f"sent Bob one datagram: {datagram.decode()}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("spoofed_whisper")
