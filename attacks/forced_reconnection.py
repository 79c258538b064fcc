"""Coming too late for the key exchange, and making it happen again.

python -m attacks.forced_reconnection --stage 3
"""

import asyncio
import contextlib
from typing import Any, Final

from msgspec import json

from attacks import Claim, Foothold, Goal, attack, exchange
from attacks.on_path import Splice, on_path
from attacks.terminate import terminating
from attacks.words import kind_of, message_in, words_of
from common.loopback import Intercepted

BACK_SECONDS: Final = 5.0
"""How long Mallory waits for Bob to come back."""


@attack(
    position="on-path",
    goals=(
        Goal(
            "room",
            "after a cut and the automatic reconnect, read the room",
            wins="read-later-room",
            expected="BBBHH",
            ablation={4: "verify=none", 5: "verify=none pinning=none"},
        ),
    ),
)
async def forced_reconnection(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory came when all the keys had been exchanged. So she cuts Bob's connection and waits. His client does what a
    good client does: it connects again, and begins from the beginning, with a new exchange of keys. This time Mallory
    is in the middle of it.
    """
    stage = foothold.stage
    claim = Claim(did="cut Bob's connection, and was in the middle of the next")
    between = exchange.between(stage, foothold.note)
    connections: dict[str, Splice] = {}
    said: list[Any] = []
    late, back = False, asyncio.Event()

    def from_bob(piece: bytes) -> list[bytes]:
        message = message_in(stage, piece)
        return [json.encode(between.carry(message, "")) if message else piece]

    def to_bob(piece: bytes) -> list[bytes]:
        """Bob is back when he has the room key again; where there is none, when he has the roster."""
        message = message_in(stage, piece)
        said.extend([message] if kind_of(message) == "say" else [])
        if kind_of(message) == ("key-grant" if exchange.exchanged(stage) else "roster"):
            back.set()
        return [json.encode(between.carry(message, "bob")) if message else piece]

    async def carry(intercepted: Intercepted) -> None:
        again = late and foothold.name_of(intercepted.client[0]) == "bob"
        splice = Splice(intercepted, from_bob, to_bob) if again else Splice(intercepted)
        connections[intercepted.client[0]] = splice
        await splice.run()

    async def take(intercepted: Intercepted) -> None:
        if not late:
            await carry(intercepted)
        else:
            await terminated(intercepted)
            back.set()  # refused, or over: he is not waited for any more

    terminated = terminating(carry, foothold.note)
    async with on_path(foothold, take):
        await foothold.until("talking")
        late = True
        connection = connections.get(foothold.told("bob")[0])
        if connection:
            connection.cut()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(back.wait(), BACK_SECONDS)
        await foothold.until("over")
    claim.read.extend(words for message in said if (words := words_of(stage, message, between.keys)) is not None)
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("forced_reconnection")
