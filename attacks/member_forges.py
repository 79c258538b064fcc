"""Speaking as somebody who is there.

python -m attacks.member_forges --stage 1
"""

import asyncio
import secrets

from msgspec.structs import replace

from attacks import Claim, Foothold, Goal, attack
from common.runtime import Client
from common.session import Send


@attack(
    position="insider",
    goals=(Goal("room", "speak in the room as Alice, who is there", wins="forged-room", expected="B"),),
)
async def member_forges(foothold: Foothold, goal: Goal) -> Claim:
    """Carol is a member like any other. Her client writes `"from":"carol"` into what she says because it is honest;
    Carol changes one word in it. Alice is in the room, and reads what she never said.
    """
    inside = asyncio.Event()
    client = await Client.start(
        foothold.host,
        foothold.server,
        lambda udp_port: foothold.stage.client("carol", udp_port),
        lambda show: inside.set(),
    )
    await inside.wait()
    await foothold.until("talking")
    words = f"I owe Carol {secrets.randbelow(900) + 100} euros."
    honest = client.session.say(words)
    client.perform([Send(replace(e.message, sender="alice")) if isinstance(e, Send) else e for e in honest])
    client.close()
    await client.ended.wait()
    return Claim(did=f"said with the name alice: {words}")


if __name__ == "__main__":
    from lab.attack_main import main

    main("member_forges")
