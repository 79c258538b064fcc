"""Being taken for the server, with a certificate that the right authority has signed.

python -m attacks.rogue_ca --stage 4
"""

import asyncio
import contextlib
from typing import Final

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from attacks.terminate import answering_with, terminating
from common.loopback import Intercepted

BACK_SECONDS: Final = 5.0
"""How long Mallory waits for Alice to come back."""


@attack(
    position="on-path",
    goals=(
        Goal(
            "server",
            "be taken for the server with the authority's key",
            wins="taken-for-server",
            expected="---BB",
            absent="there is no authority here",
            remedy="pin_server_key=on",
        ),
    ),
)
async def rogue_ca(foothold: Foothold, goal: Goal) -> Claim:
    """Everybody trusts the authority, and Mallory has stolen its key: now she can certify that she is the server. Alice
    has talked to the true server before. Mallory cuts that connection, and is there when the client comes back. There
    is nothing wrong with her certificate, except that it is for another key than yesterday's; who would notice?
    """
    claim = Claim(did="cut Alice's connection, and answered the next with a certificate of the authority's")
    first: dict[str, Splice] = {}
    late, answered = False, asyncio.Event()

    def read(line: bytes) -> list[bytes]:
        claim.read.append(line.decode(errors="replace"))
        answered.set()
        return [line]

    async def carry(intercepted: Intercepted) -> None:
        if not late:
            first[intercepted.client[0]] = Splice(intercepted)
            await first[intercepted.client[0]].run()
        else:
            await terminated(intercepted)
            answered.set()  # refused, or over

    async def carry_in_the_clear(intercepted: Intercepted) -> None:
        await Splice(intercepted, read).run()

    terminated = terminating(carry_in_the_clear, foothold.note, lambda: answering_with(foothold.certificate))
    async with on_path(foothold, carry):
        await foothold.until("talking")
        late = True
        alice = first.get(foothold.told("alice")[0])
        if alice:
            alice.cut()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(answered.wait(), BACK_SECONDS)
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("rogue_ca")
