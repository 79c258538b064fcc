"""Getting on the path by ARP spoofing.

python -m attacks.arp_spoofing --stage 1 --slow
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.position import position
from common.errors import LabError
from common.lan import LanHost


@attack(
    position="on-path",
    goals=(
        Goal(
            "path",
            "Alice's traffic with the server flows through Mallory",
            wins="flowed-through",
            expected="BBBBB",
            remedy={
                1: "arp=static",
                2: "arp_inspection=on",
                3: "arp=static",
                4: "arp_inspection=on",
                5: "arp=static",
            },
            lan_only="loopback has no ARP: a relay carries everything, and hands the attacker her place on the path",
        ),
    ),
    via=(),
)
async def arp_spoofing(foothold: Foothold, goal: Goal) -> Claim:
    """A switch sends a frame only to the card that it is for, and a host learns by ARP which card that is: it asks
    everybody, and believes whoever speaks. So Mallory tells every host, five times a second, that all the others are at
    her card, and forwards whatever comes. Nobody misses anything. She has read nothing yet, but whatever the hosts say
    to each other now goes through her hands; what that is worth depends on the stage.
    """
    if not isinstance(foothold.host, LanHost):
        raise LabError("There is no ARP to forge here; run arp_spoofing without TARGET=, in the lab's own network.")
    async with position(foothold, foothold.host, "arp_spoofing"):
        await foothold.until("over")
    return Claim(did="told every host that the others are at her card, and forwarded what came")


if __name__ == "__main__":
    from lab.attack_main import main

    main("arp_spoofing")
