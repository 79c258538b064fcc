"""Saying again what somebody said.

python -m attacks.replay --stage 1
"""

import asyncio

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from attacks.terminate import terminating
from attacks.words import kind_of, message_in
from common.loopback import Intercepted
from common.session import Address


@attack(
    position="on-path",
    goals=(
        Goal(
            "room",
            "a recorded room message is shown again",
            wins="replayed-room",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none replay_protection=off"},
            remedy={3: "replay_protection=on"},
        ),
        Goal(
            "whisper",
            "a recorded whisper is shown again, also after Bob restarted",
            wins="replayed-whisper",
            restarts=True,
            expected="BBBBH",
            ablation={5: "replay_protection=off"},
            remedy={3: "replay_protection=on", 4: "replay_protection=on"},
            what_ifs={
                3: {"replay_protection=on key_exchange=passphrase": "B"},
                4: {"replay_protection=on key_exchange=passphrase": "B"},
            },
        ),
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

        def record(piece: bytes) -> list[bytes]:
            recorded.append((address, piece))
            return [piece]

        connections[address] = Splice(intercepted, record)
        await connections[address].run()

    def record_whisper(payload: bytes, source: Address, target: Address) -> bytes:
        whispers.append((payload, target))
        return payload

    tcp = terminating(carry, foothold.note) if goal.name == "room" else carry
    async with on_path(foothold, tcp, record_whisper):
        await foothold.until("talking")
        alice = foothold.told("alice")[0]
        if goal.name == "room":
            pieces = [said for address, said in recorded if address == alice]
            if not pieces:
                await foothold.until("over")
                return Claim(did="heard nothing from Alice that could be sent again")
            for_bob = [piece for piece in pieces if _is_for(foothold, "bob", piece)]
            piece = (for_bob or pieces)[-1]
            await connections[alice].to_server(piece)
            did = f"sent Alice's last line to the server again ({len(piece)} bytes)"
        else:
            payload, target = next(((p, t) for p, t in whispers if t == foothold.told("bob")), (b"", ("", 0)))
            if not payload:
                await foothold.until("over")
                return Claim(did="heard no whisper that could be sent again")
            with await foothold.host.bind_udp() as sock:
                await asyncio.get_running_loop().sock_sendto(sock, payload, target)
            await foothold.until("bob-restarted")
            with await foothold.host.bind_udp() as sock:
                await asyncio.get_running_loop().sock_sendto(sock, payload, foothold.told("bob"))
            did = f"sent a recorded datagram to Bob again ({len(payload)} bytes), and once more after he had restarted"
        foothold.note(did)
        await foothold.until("over")
    return Claim(did=did)


def _is_for(foothold: Foothold, member: str, piece: bytes) -> bool:
    """Is this, as far as one can see, something said, and for this member?"""
    message = message_in(foothold.stage, piece)
    return kind_of(message) == "say" and message.to == member


if __name__ == "__main__":
    from lab.attack_main import main

    main("replay")
