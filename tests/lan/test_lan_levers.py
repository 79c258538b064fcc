"""What the LAN itself can do: filters, tables and routes, and that each is taken back."""

import asyncio

import pytest

from common import lan_levers
from common.errors import LabError
from common.lan import Lan, LanHost
from tests.lan.test_lan import exchange, heard_until_marker
from tests.room import run


def forged(says: LanHost, address: str, card: str) -> bytes:
    """A broadcast by which a host says that this address is at this card."""
    from scapy.layers.l2 import ARP, Ether

    frame: bytes = bytes(Ether(src=says.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=card, psrc=address, pdst=address))
    return frame


def arrives(lan: Lan, frame: bytes) -> bool:
    """Does what Mallory sends reach Alice's card?"""

    async def conversation() -> bool:
        alice, mallory = lan.hosts["alice"], lan.hosts["mallory"]
        with alice.packet_socket() as ear, mallory.packet_socket() as card:
            card.send(frame)
            return frame in await heard_until_marker(ear, mallory)

    return run(conversation())


def test_inspecting_switch_drops_arp_in_the_name_of_others_and_nothing_else(lan: Lan) -> None:
    mallory, server = lan.hosts["mallory"], lan.hosts["server"]
    own = forged(mallory, mallory.address, mallory.mac)
    lies = [forged(mallory, server.address, mallory.mac), forged(mallory, mallory.address, server.mac)]
    assert [arrives(lan, frame) for frame in (own, *lies)] == [True, True, True]
    lan_levers.inspect_arp(lan)
    assert [arrives(lan, frame) for frame in (own, *lies)] == [True, False, False]
    run(exchange(lan.hosts["alice"], server, b"honest hosts find each other"))
    lan_levers.uninspected(lan)
    assert arrives(lan, lies[0])


def test_kernel_that_cannot_inspect_is_one_sentence(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan_levers, "RETURN", 0xFF)  # no such operation: this kernel refuses the filter as one without
    with pytest.raises(
        LabError, match=r"^The switch cannot inspect ARP here: .* the lever arp=static needs neither\.$"
    ):
        lan_levers.inspect_arp(lan)
    assert "clsact" not in lan.run(lan_levers.tc_command(), "qdisc", "show")


def test_machine_without_tc_is_the_same_sentence(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan_levers, "tc_command", lambda: "no-such-tc")
    with pytest.raises(LabError, match=r"^The switch cannot inspect ARP here: "):
        lan_levers.inspect_arp(lan)


def test_static_entries_are_not_overridden_and_can_be_forgotten(lan: Lan) -> None:
    alice, server, mallory = (lan.hosts[name] for name in ("alice", "server", "mallory"))
    lan_levers.static_arp(lan)
    assert arrives(lan, forged(mallory, server.address, mallory.mac))
    assert f"{server.address} dev eth0 lladdr {server.mac} PERMANENT" in alice.run("ip", "neigh")
    lan_levers.forget(lan)
    assert alice.run("ip", "neigh").strip() == ""


def test_members_behind_mallory_reach_everybody_through_her_and_directly_again(lan: Lan) -> None:
    alice, server, mallory = (lan.hosts[name] for name in ("alice", "server", "mallory"))

    def hops() -> str:
        return alice.run("ip", "route", "get", server.address) + server.run("ip", "route", "get", alice.address)

    before = hops()
    lan_levers.behind_mallory(lan)
    assert hops().count(f"via {mallory.address}") == 2
    mallory.sysctl("ipv4/ip_forward", "1")
    asyncio.run(exchange(alice, server, b"by way of Mallory"))
    lan_levers.beside_mallory(lan)
    assert hops() == before
