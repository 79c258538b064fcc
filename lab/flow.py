"""`lab flow FILE`: a capture as a sequence diagram, every packet an arrow from host to host.

    lab flow runs/…/sniffer-room.pcapng --follow alice,server
    lab flow room.pcap --mermaid > room.mmd          GitHub and many editors draw it

An arrow goes from network card to network card. Where a card of the lab is not that of the address, somebody is on
the path: "as alice", "for server". Above an arrow stand the messages that it completes; its own text is TCP's flags
and numbers and the length of what it carries. A diagram is for reading, so it is bounded: `--first N` packets, and a
line that says how many were left out.
"""

import shutil
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import stages
from attacks.listener import Listener
from attacks.packets import ACK, FLAGS, SYN, Packet, dissected
from attacks.pcap import Frame, frames
from common.errors import LabError
from common.lan import PLAN, PREFIX
from lab.diagram import Arrow, mermaid, text
from lab.reading import name_of, quiet_when_nobody_reads, two_hosts

_WORD: Final = 0xFFFFFFFF
_TLS: Final = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}
_HANDSHAKES: Final = {1: "ClientHello", 2: "ServerHello"}


@dataclass(slots=True)
class Flow:
    """What is drawn, and how many frames were left out: further ones, and those that are neither ARP nor whole IPv4."""

    arrows: list[Arrow] = field(default_factory=list)
    further: int = 0
    others: int = 0
    wrong: str = ""
    """What was wrong with the file, behind what could be read."""


class Numbers:
    """Sequence numbers as they are, or counted from the beginning of each direction, its SYN being 0."""

    def __init__(self, *, relative: bool) -> None:
        self._relative = relative
        self._begin: dict[tuple[object, object], int] = {}

    def of(self, packet: Packet) -> tuple[int, int]:
        """Sequence and acknowledgement number of a TCP packet."""
        if not self._relative:
            return packet.seq, packet.ack
        way, back = (packet.source, packet.target), (packet.target, packet.source)
        if packet.flags & SYN:
            self._begin[way] = packet.seq
        begin = self._begin.setdefault(way, packet.seq - 1)  # where the SYN is not in the capture: data begins at 1
        if not packet.flags & ACK:
            return packet.seq - begin & _WORD, 0
        return packet.seq - begin & _WORD, packet.ack - self._begin.setdefault(back, packet.ack - 1) & _WORD


def flow(path: Path, *, stage: int, relative: bool, first: int, follow: str) -> Flow:
    """Read a capture into arrows: the first so many packets (0: all) between all hosts, or the two that are followed.

    stage: whose messages are named; 0 for the one whose port is met most. Raises LabError where there is no capture.
    """
    hosts = two_hosts(follow) if follow else None
    found, packets = Flow(), list[tuple[Frame, Packet]]()
    try:
        for frame in frames(path):
            packet = dissected(frame.data)
            if packet is None:
                found.others += 1
            elif hosts is None or {name_of(packet.source[0]), name_of(packet.target[0])} == hosts:
                found.further += bool(first) and len(packets) >= first
                if not found.further:
                    packets.append((frame, packet))
    except LabError as error:
        found.wrong = str(error)
        if not packets:
            raise
    listener = Listener(stages.find(stage).port if stage else _port(packets))
    numbers = Numbers(relative=relative)
    found.arrows = [_arrow(frame, packet, listener, numbers) for frame, packet in packets]
    return found


def _port(packets: Sequence[tuple[Frame, Packet]]) -> int:
    """The port of the stage that the capture is of; 0 where it is of none."""
    known = {stage.port for stage in stages.catalogue().values()}
    met = Counter(port for _, p in packets if p.transport == "TCP" for _, port in (p.source, p.target) if port in known)
    return met.most_common(1)[0][0] if met else 0


def _arrow(frame: Frame, packet: Packet, listener: Listener, numbers: Numbers) -> Arrow:
    said = [str(heard.fields["type"]) for heard in listener.hear(frame.data)]
    source, target = _card(frame.data[6:12], packet.source[0]), _card(frame.data[:6], packet.target[0])
    text = _about(packet, numbers)
    if packet.transport != "ARP" or packet.about.startswith("who has"):  # an ARP answer names both
        text += f" as {name_of(packet.source[0])}" * (source != name_of(packet.source[0]))
        text += f" for {name_of(packet.target[0])}" * (target != name_of(packet.target[0]))
    to_all = frame.data[0] & 1
    return Arrow(frame.number, source, "" if to_all else target, _named(said) or _inside(packet), text)


def _card(mac: bytes, address: str) -> str:
    """Whose network card it is: in the lab a card tells, and so it is seen who is on the path and who lies by ARP."""
    own = mac[:5] == b"\x02\0\0\0\0" and name_of(f"{PREFIX}.{mac[5]}")
    return own if own in PLAN else name_of(address)


def _named(types: Sequence[str]) -> str:
    """`joined, say ×3`"""
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in Counter(types).items())


def _inside(packet: Packet) -> str:
    """What a packet carries that is no message: DNS by its port, TLS by its first record (RFC 8446, section 5.1)."""
    if packet.transport == "UDP" and {53, 5053} & {packet.source[1], packet.target[1]}:
        return "DNS"
    if packet.transport != "TCP" or len(packet.data) < 6:
        return ""
    kind, version, handshake = struct.unpack(">BBxxxB", packet.data[:6])
    if kind not in _TLS or version != 3:
        return ""
    return f"TLS {_HANDSHAKES.get(handshake, _TLS[kind])}" if kind == 22 else f"TLS {_TLS[kind]}"


def _about(packet: Packet, numbers: Numbers) -> str:
    """`PSH ACK seq=1 ack=1 len=42`, or `UDP len=20`, or what ARP says."""
    if packet.transport != "TCP" or packet.about:
        length = f"len={len(packet.data)}" if packet.transport == "UDP" and not packet.about else packet.about
        return f"{packet.transport} {length}".rstrip()
    seq, ack = numbers.of(packet)
    flags = " ".join(name for bit, name in FLAGS.items() if packet.flags & bit)
    return f"{flags} seq={seq}{f' ack={ack}' if packet.flags & ACK else ''} len={len(packet.data)}".lstrip()


def left_out(found: Flow) -> Iterator[str]:
    """What is not in the diagram, a line each."""
    if found.further:
        yield f"Further packets that are not drawn: {found.further}; --first 0 draws all."
    if found.others:
        yield f"Frames that are neither ARP nor a whole packet of IPv4 and are not drawn: {found.others}."


def show(path: Path, *, stage: int, relative: bool, first: int, follow: str, as_mermaid: bool) -> None:
    """Print the diagram. Raises LabError where there is no capture, or nothing in it to draw."""
    found = flow(path, stage=stage, relative=relative, first=first, follow=follow)
    if not found.arrows:
        between = f" between {follow.replace(',', ' and ')}" if follow else ""
        raise LabError(f"There is nothing to draw in {path}: no packet of IPv4 or ARP{between}.")
    columns = shutil.get_terminal_size((80, 24)).columns
    with quiet_when_nobody_reads():
        for line in mermaid(found.arrows) if as_mermaid else text(found.arrows, columns):
            print(line)
        for sentence in left_out(found):
            print(f"%% {sentence}" if as_mermaid else sentence)
    if found.wrong:
        raise LabError(found.wrong)
