"""Seeing who whispers to whom.

python -m attacks.who_talks --stage 1
"""

from attacks import TRIALS, Claim, Foothold, Goal, attack
from attacks.packets import dissected
from attacks.tap import frames


@attack(
    position="tap",
    goals=(
        Goal(
            "whispers",
            "name who whispered to whom",
            wins="guessed",
            expected="BBBBB",
            trial="to-whom",
        ),
    ),
)
async def who_talks(foothold: Foothold, goal: Goal) -> Claim:
    """Alice whispers, twenty times, to Bob or to Carol. Eve need not read a word: a datagram says on its outside where
    it comes from and where it goes, or no network could deliver it. Who talks to whom, when and how often is often
    worth more than what they say.
    """
    claim = Claim(did="read the addresses on Alice's whispers")
    went: list[tuple[str, int]] = []
    alice = ""

    def look(frame: bytes) -> None:
        packet = dissected(frame)
        if packet and packet.transport == "UDP" and packet.source[0] == alice:
            went.append(packet.target)

    with frames(foothold, look) as hear:
        await foothold.until("talking")
        alice = foothold.told("alice")[0]
        peers = [foothold.told("bob"), foothold.told("carol")]
        for _ in range(TRIALS):
            hear()
            went.clear()
            await foothold.trial()
            hear()
            to = next((peers.index(address) for address in reversed(went) if address in peers), 0)
            foothold.note(f"Alice whispered to {foothold.name_of(peers[to][0])}" if went else "nothing was heard")
            claim.guesses.append(to)
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("who_talks")
