"""Saying again what somebody said.

python -m attacks.replay --stage 1
"""

import asyncio

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from common.loopback import Intercepted
from common.session import Address


@attack(
    position="on-path",
    goals=(
        Goal("room", "a recorded room message is shown again", wins="replayed-room", expected="B"),
        Goal("whisper", "a recorded whisper is shown again", wins="replayed-whisper", expected="B"),
    ),
)
async def replay(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory need not understand what she records. She keeps what went by from Alice, waits, and sends the very
    same bytes again. Whoever cannot tell an old message from a new one obeys it twice.
    """
    connections: dict[str, Splice] = {}
    recorded: list[tuple[str, bytes]] = []
    whispers: list[tuple[bytes, Address]] = []

    async def carry(intercepted: Intercepted) -> None:
        address = intercepted.client[0]

        def record(line: bytes) -> list[bytes]:
            recorded.append((address, line))
            return [line]

        connections[address] = Splice(intercepted, record)
        await connections[address].run()

    def record_whisper(payload: bytes, source: Address, target: Address) -> bytes:
        whispers.append((payload, target))
        return payload

    async with on_path(foothold, carry, record_whisper):
        await foothold.until("talking")
        alice = foothold.told("alice")[0]
        if goal.name == "room":
            of_alice = [(a, said) for a, said in recorded if a == alice]
            if not of_alice:
                return Claim(did="had nothing of Alice's to send again")
            address, line = of_alice[-1]
            await connections[address].to_server(line)
            did = f"sent Alice's last line to the server again ({len(line)} bytes)"
        else:
            for_bob = [(p, t) for p, t in whispers if t == foothold.told("bob")]
            if not for_bob:
                return Claim(did="had no whisper to send again")
            payload, target = for_bob[0]
            with await foothold.host.bind_udp() as sock:
                await asyncio.get_running_loop().sock_sendto(sock, payload, target)
            did = f"sent a recorded datagram to Bob again ({len(payload)} bytes)"
        foothold.note(did)
        await foothold.until("over")
    return Claim(did=did)


if __name__ == "__main__":
    from lab.attack_main import main

    main("replay")
