"""Telling messages apart by their length.

python -m attacks.message_length --stage 1
"""

from attacks import TRIALS, Claim, Foothold, Goal, attack
from attacks.packets import dissected
from attacks.tap import frames


@attack(
    position="tap",
    goals=(
        Goal(
            "room",
            'tell "yes" from "no, never"',
            wins="guessed",
            expected="BBBBB",
            trial="yes-or-no",
            remedy={3: "padding=buckets", 4: "padding=buckets", 5: "padding=buckets"},
        ),
    ),
)
async def message_length(foothold: Foothold, goal: Goal) -> Claim:
    """Alice answers "yes" or "no, never". Eve weighs the answer instead of reading it: she counts the bytes that go
    from Alice to the server. Encryption hides what is said, and not how much; the longer ones were "no, never".
    """
    pieces: dict[tuple[int, int], int] = {}
    alice = ""

    def weigh(frame: bytes) -> None:
        """Count a segment of Alice's; what is sent again has the same sequence number."""
        packet = dissected(frame)
        if packet and packet.transport == "TCP" and (packet.source[0], packet.target[1]) == (alice, foothold.server[1]):
            pieces[packet.source[1], packet.seq] = len(packet.data)

    sizes: list[int] = []
    with frames(foothold, weigh) as hear:
        await foothold.until("talking")
        alice = foothold.told("alice")[0]
        for _ in range(TRIALS):
            hear()
            before = sum(pieces.values())
            await foothold.trial()
            hear()
            sizes.append(sum(pieces.values()) - before)
            foothold.note(f"Alice sent {sizes[-1]} bytes")
    middle = (min(sizes) + max(sizes)) / 2
    return Claim(
        guesses=[int(size > middle) for size in sizes],
        did=f"weighed {TRIALS} answers of {min(sizes)} to {max(sizes)} bytes",
    )


if __name__ == "__main__":
    from lab.attack_main import main

    main("message_length")
