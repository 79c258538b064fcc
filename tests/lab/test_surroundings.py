"""The way that traffic takes, as the referee judges it: on frames that are made up."""

from types import SimpleNamespace
from typing import Any

import pytest

import attacks
import stages
from attacks import Claim
from attacks.packets import dissected
from common.levers import LAN, Levers
from common.loopback import Loopback
from lab.capture import Recording
from lab.referee import RULES, Finding
from lab.scene import Scene, Spoken
from lab.surroundings import Path, arrange, kind_for

HOSTS = {
    name: SimpleNamespace(name=name, address=f"10.13.37.{byte}", mac=f"02:00:00:00:00:{byte:02x}", pinned={})
    for name, byte in {"server": 10, "alice": 21, "bob": 22, "mallory": 99}.items()
}
PORT = 5001


def frame(source: str, target: str, card: str, words: bytes = b"words", by: str = "") -> bytes:
    """A TCP segment between two hosts, addressed to the card of a third or of the second."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    sport, dport = (PORT, 40000) if source == "server" else (40000, PORT)
    ether = Ether(src=HOSTS[by or source].mac, dst=HOSTS[card].mac)
    made: bytes = bytes(
        ether / IP(src=HOSTS[source].address, dst=HOSTS[target].address) / TCP(sport=sport, dport=dport) / words
    )
    return made


THERE, BACK = frame("alice", "server", "mallory"), frame("server", "alice", "mallory")


def judged(*frames: bytes, neighbour: str = "", unheard: bool = False) -> Finding:
    """The verdict where these frames crossed the switch, and those to her came to Mallory's card."""
    lan: Any = SimpleNamespace(hosts=HOSTS)
    crossed = Recording([(0, data) for data in frames])
    path = Path(lan, PORT, HOSTS["server"], None, crossed, neighbour)  # type: ignore[arg-type]
    scene = Scene(stages.find(1), Levers(), None, lambda place, text: None, path=path)  # type: ignore[arg-type]
    scene.spoken = [Spoken("alice", "room", "", "words")]
    scene.unheard = scene.spoken if unheard else []
    return RULES["flowed-through"](scene, Claim(did="everything"), crossed)


def test_traffic_that_comes_to_mallorys_card_both_ways_and_arrives_flowed_through() -> None:
    found = judged(THERE, frame("alice", "server", "server", by="mallory"), BACK)
    assert found.reached
    assert [evidence.frames for evidence in found.evidence] == [[1], [3]]


def test_traffic_to_an_address_that_mallory_claimed_flowed_through() -> None:
    assert judged(frame("alice", "mallory", "mallory"), frame("server", "mallory", "mallory")).reached


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [THERE],  # one direction
        [BACK],
        [frame("alice", "server", "server"), frame("server", "alice", "alice")],  # past her
        [frame("alice", "server", "mallory", b""), BACK],  # no words in it: a handshake
        [frame("bob", "server", "mallory"), BACK],  # somebody else's
        [b"", b"\xff" * 14, THERE[:20], THERE[:33]],
    ],
)
def test_traffic_that_is_not_alices_both_ways_through_mallory_is_held(frames: list[bytes]) -> None:
    assert not judged(*frames).reached


def test_traffic_that_did_not_go_on_is_held() -> None:
    found = judged(THERE, BACK, unheard=True)
    assert (found.reached, found.reason) == (
        False,
        "frames came to Mallory, but did not go on: 1 of 1 things that were said never arrived",
    )


def test_traffic_that_went_past_mallory_in_part_is_held() -> None:
    found = judged(THERE, BACK, frame("alice", "server", "server"))
    assert (found.reached, found.reason) == (False, "1 of Alice's frames came to Mallory, and 1 went past her")


@pytest.mark.parametrize(
    ("neighbour", "why"),
    [
        ("02:00:00:00:00:0a PERMANENT", "Alice has a static entry for 10.13.37.10: what she was told about it did not"),
        ("02:00:00:00:00:0a REACHABLE", "not one forged ARP frame of Mallory's crossed the switch"),
    ],
)
def test_spoof_that_did_not_take_says_why(neighbour: str, why: str) -> None:
    assert judged(neighbour=neighbour).reason.startswith(why)


def test_spoof_that_alice_heard_and_did_not_believe_names_what_she_believes() -> None:
    from scapy.layers.l2 import ARP, Ether

    mallory, server = HOSTS["mallory"], HOSTS["server"]
    lie = bytes(Ether(src=mallory.mac, dst=HOSTS["alice"].mac) / ARP(hwsrc=mallory.mac, psrc=server.address))
    assert judged(lie, neighbour=f"{server.mac} STALE").reason == (
        "Alice believes that 10.13.37.10 is at 02:00:00:00:00:0a STALE, and Mallory's card is 02:00:00:00:00:63"
    )


def test_packet_with_options_in_its_header_is_read() -> None:
    from scapy.layers.inet import IP, UDP, IPOption_NOP
    from scapy.layers.l2 import Ether

    datagram = Ether() / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_NOP()] * 4) / UDP(sport=1, dport=2) / b"x"
    packet = dissected(bytes(datagram))
    assert packet
    assert (packet.source, packet.target, bool(packet.data)) == (("10.0.0.1", 1), ("10.0.0.2", 2), True)


@pytest.mark.parametrize(
    ("attack", "words", "via", "kind"),
    [
        ("sniffer", "", "", "hub"),
        ("sniffer", "", "arp_spoofing", "switch"),
        ("sniffer", "lan=switch", "", "switch"),
        ("mitm", "", "", "switch"),
        ("mitm", "lan=hub", "", "hub"),
    ],
)
def test_listener_gets_a_hub_unless_something_else_is_asked_for(attack: str, words: str, via: str, kind: str) -> None:
    assert kind_for(Levers.parse(words, LAN), attacks.find(attack), via) == kind


def test_pinned_answers_are_known_beforehand_and_forgotten_after() -> None:
    network = Loopback()
    network.zone = {"server.lab.test": "127.0.0.10"}
    try:
        for words, pinned in (("dns=pinned-answer", network.zone), ("", {})):
            arrange(network, Levers.parse(words, LAN), None, "")
            assert [host.pinned for host in network.hosts.values()] == [pinned] * len(network.hosts)
    finally:
        network.close()
