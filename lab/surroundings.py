"""What the network is before a scene begins, and what the referee hears at Mallory's card while it runs."""

from dataclasses import dataclass, field
from typing import Final

from attacks import WAYS, Attack
from attacks.packets import Packet, dissected
from common import lan_levers
from common.errors import LabError
from common.lan import Kind, Lan, LanHost, ip_command
from common.levers import LAN, Levers
from lab.capture import Capture, Recording
from lab.network import Network

ETHERTYPE_ARP: Final = 0x0806
REAL_LAN_ONLY: Final = ("arp", "arp_inspection")


def arrange(network: Network, levers: Levers, attack: Attack | None, via: str) -> None:
    """Make the network what the levers and the attack's position ask for, and let its hosts forget what they learned
    by ARP: it may be a lie, or about to be asked again. Raises LabError where it cannot be."""
    network.become(kind_for(levers, attack, via))
    turned = {
        lever.name: levers[lever.name] for lever in LAN if levers.get(lever.name) not in (None, lever.settings[0])
    }
    for host in network.hosts.values():
        host.pinned = network.zone if turned.get("dns") == "pinned-answer" else {}
    if not isinstance(network, Lan):
        if names := [name for name in REAL_LAN_ONLY if name in turned]:
            raise LabError(f"The loopback network has no ARP, so there is no {names[0]} to turn; use NETWORK=lan.")
        return
    routed = attack is not None and "gateway" in (attack.name, via)
    wanted = (turned.get("arp", ""), turned.get("arp_inspection", ""), routed)
    if wanted != network.arranged:
        _rearrange(network, *wanted)
    elif not turned.get("arp"):
        lan_levers.forget(network)


def _rearrange(lan: Lan, arp: str, inspection: str, routed: bool) -> None:
    """From whatever was before."""
    before, lan.arranged = lan.arranged, ("", "", False)
    if before[1]:
        lan_levers.uninspected(lan)
    if before[2]:
        lan_levers.beside_mallory(lan)
    lan_levers.forget(lan)
    if arp:
        lan_levers.static_arp(lan)
    if inspection:
        lan_levers.inspect_arp(lan)
    if routed:
        lan_levers.behind_mallory(lan)
    lan.arranged = (arp, inspection, routed)


def kind_for(levers: Levers, attack: Attack | None, via: str) -> Kind:
    """A listener gets a hub, unless it is to get at the traffic in another way; everybody else a switch."""
    chosen = levers.get("lan", "by-position")
    if chosen in ("hub", "switch"):
        return "hub" if chosen == "hub" else "switch"
    return "hub" if attack and attack.taps and not via else "switch"


def check_way(attack: Attack, via: str) -> None:
    """Is this a way onto the path that the attack can be told to take? Raises LabError."""
    if via and via not in attack.via:
        if attack.name in WAYS and not attack.via:
            raise LabError(f"{attack.name} is itself a way onto the path; leave out VIA=.")
        can = f"it can take {', '.join(attack.via)}" if attack.via else "it needs none; leave out VIA="
        raise LabError(f"{attack.name} cannot be told to go via {via}; {can}.")


@dataclass
class Path:
    """What was seen of the way that Alice's traffic with the server took: by a socket of the bench's at Mallory's
    network card, and in Alice's own tables. The attack has no part in it."""

    lan: Lan
    port: int
    about: LanHost
    """The host about which Alice is lied to, if she is: the server, or the name server."""
    card: Capture
    came: Recording = field(default_factory=lambda: Recording([]))
    """The frames at Mallory's card, from when she said that she was ready."""
    neighbour: str = ""
    """What Alice's table said of that host while all were talking: card and state."""

    @classmethod
    def watched(cls, lan: Lan, port: int, attack: Attack) -> "Path":
        """Begin to listen at Mallory's card."""
        about = lan.hosts["dns" if attack.name == "dns_spoofing" else "server"]
        return cls(lan, port, about, Capture(lan.hosts["mallory"].packet_socket()))

    def ready(self) -> None:
        """The attack says that it is ready: what came before does not count."""
        self.card.cut()

    def look(self) -> None:
        """Read what Alice's host believes now of where that host is."""
        line = (
            self.lan.hosts["alice"].run(ip_command(), "neigh", "show", "to", self.about.address, "dev", "eth0").split()
        )
        self.neighbour = f"{line[line.index('lladdr') + 1]} {line[-1]}" if "lladdr" in line else ""

    def __enter__(self) -> None:
        """The scene begins."""

    def __exit__(self, *_: object) -> None:
        """The scene is over: hear no more."""
        self.came = self.card.cut()
        self.card.stop()

    def through(self, recording: Recording) -> tuple[list[int], list[int]]:
        """The numbers of those frames that carry words between Alice and the server and are addressed to Mallory's
        card: on their way there, and on their way back. The server's address may be one that Mallory claimed for it."""
        alice, server, mallory = (self.lan.hosts[name] for name in ("alice", "server", "mallory"))
        there, back = [], []
        for number, (_, frame) in enumerate(recording.frames, 1):
            packet = _words(frame)
            if packet is None or frame[:6].hex(":") != mallory.mac:
                continue
            source, target = packet.source, packet.target
            if source[0] == alice.address and target in ((host.address, self.port) for host in (server, mallory)):
                there.append(number)
            if source == (server.address, self.port) and target[0] in (alice.address, mallory.address):
                back.append(number)
        return there, back

    def past(self, recording: Recording) -> int:
        """How many frames with words of Alice's went to the server's own card."""
        alice, server = self.lan.hosts["alice"], self.lan.hosts["server"]
        between = bytes.fromhex((server.mac + alice.mac).replace(":", ""))
        packets = (_words(frame) for _, frame in recording.frames if frame[:12] == between)
        return sum(1 for packet in packets if packet and packet.target[1] == self.port)

    def why_not(self, recording: Recording) -> str:
        """Why nothing flowed through Mallory, from Alice's table and from what crossed the switch."""
        mallory = self.lan.hosts["mallory"]
        if self.neighbour.endswith("PERMANENT"):
            return f"Alice has a static entry for {self.about.address}: what she was told about it did not change it"
        if self.lan.hosts["alice"].pinned:
            return "Alice knows the server's address beforehand and asked nobody, so there was nothing to answer"
        if not any(_forged(frame, mallory) for _, frame in recording.frames):
            return "not one forged ARP frame of Mallory's crossed the switch"
        believed = self.neighbour or "no card"
        return f"Alice believes that {self.about.address} is at {believed}, and Mallory's card is {mallory.mac}"


def _words(frame: bytes) -> Packet | None:
    """The TCP segment in a frame; None where it carries nothing."""
    packet = dissected(frame)
    return packet if packet and packet.transport == "TCP" and packet.data else None


def _forged(frame: bytes, by: LanHost) -> bool:
    """Is this ARP from that host's card, in the name of another address?"""
    arp = int.from_bytes(frame[12:14], "big") == ETHERTYPE_ARP
    return arp and frame[6:12].hex(":") == by.mac and ".".join(map(str, frame[28:32])) != by.address
