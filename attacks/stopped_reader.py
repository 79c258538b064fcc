"""A member who stops reading.

python -m attacks.stopped_reader --stage 1
"""

import socket

import msgspec

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import carol, flood, until_over
from common.session import Send
from common.wire import encode

TEXT = "x" * 4000
BURST = 16
SMALL = 4096


@attack(
    position="insider",
    family="dos",
    goals=(
        Goal(
            "room",
            "make the server wait, or hoard, for one who does not read",
            "starved",
            "HHHHH",
            ablation="limits=off",
            what_ifs={stage: {"runtime=threads": "B"} for stage in range(1, 6)},
        ),
    ),
)
async def stopped_reader(foothold: Foothold, goal: Goal) -> Claim:
    """Carol is a member. She stops reading, and then says a great deal, to herself. What the server has for her fills
    first her own computer's buffer and then the server's. Now the server must decide. If it waits for her, all the
    others wait with it: one thread for each client, and a lock, do just that. If it keeps everything until she reads
    again, it keeps more and more. If it counts what waits for her, and lets her go when it is too much, the others
    never notice.
    """
    await foothold.until("talking")
    client = await carol(foothold)
    said = [effect.message for effect in client.session.say(TEXT, "alice") if isinstance(effect, Send)]
    to_herself = b"".join(encode(msgspec.structs.replace(message, to="carol")) for message in said)
    sock: socket.socket = client.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.transport.pause_reading()
    sent = await until_over(foothold, flood(client, to_herself * BURST))
    return Claim(did=f"said {sent / 1e6:.1f} MB to herself, and read nothing")


if __name__ == "__main__":
    from lab.attack_main import main

    main("stopped_reader")
