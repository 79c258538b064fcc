"""Being the router: the calm way onto the path.

python -m attacks.gateway --stage 1 --slow
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
            lan_only="loopback has no routes between its hosts: a relay carries everything",
        ),
    ),
    via=(),
)
async def gateway(foothold: Foothold, goal: Goal) -> Claim:
    """The café has free Wi-Fi, and the access point is Mallory's. When Alice's machine joins it, DHCP tells it, as it
    does everywhere, which router to send everything to; here that router is Mallory's, and the way back to Alice goes
    through it as well. Mallory forges no frame and tells no lie. No defence of the LAN helps against somebody who is
    the LAN; what helps is a protocol that does not have to trust the path.
    """
    if not isinstance(foothold.host, LanHost):
        raise LabError("There are no routes to hand out here; run gateway without TARGET=, in the lab's own network.")
    async with position(foothold, foothold.host, "gateway"):
        await foothold.until("over")
    return Claim(did="forwarded what came, as a router does")


if __name__ == "__main__":
    from lab.attack_main import main

    main("gateway")
