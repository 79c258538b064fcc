"""What a capture says about client 1: the one place from which the questions of the capture lab have their answers.

Client 1 is whoever opens the first connection to the stage's port in `client1.pcapng`. Everything is read from the
file that the learner holds, and from the server's beside it, where there is one; nothing comes from the bench.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import stages
from attacks.listener import declared
from attacks.packets import ACK, FIN, RST, SYN, Packet, dissected
from attacks.pcap import frames
from common.errors import LabError
from common.session import Address
from lab.reading import name_of

CLIENT_FILE, SERVER_FILE = "client1.pcapng", "chatserver.pcapng"
CANARY: Final = re.compile(rb"whisper-[0-9a-f]{12}")
"""Canary 2, as the lab writes it into a whisper."""
MOST_FRAMES: Final = 100_000
"""Of a longer capture nobody would count anything by hand."""
_WORD: Final = 0xFFFFFFFF


class Seen(NamedTuple):
    """A frame of a capture: its number, its bytes, and the packet in it."""

    number: int
    frame: bytes
    packet: Packet

    @property
    def seq(self) -> int:
        """The sequence number in the header."""
        return self.packet.seq

    @property
    def ack(self) -> int:
        """The acknowledgement number in the header."""
        return self.packet.ack

    @property
    def payload(self) -> int:
        """How many bytes TCP or UDP carry."""
        return len(self.packet.data)


class Handshake(NamedTuple):
    """The three segments that open a connection, as far as they are in the capture."""

    syn: Seen
    synack: Seen
    last: Seen


class Message(NamedTuple):
    """A message in a stream: the segments that carry it, its bytes, and how many answers came meanwhile."""

    segments: Sequence[Seen]
    size: int
    acks: int


@dataclass
class Facts:
    """What is in one capture of client 1's card."""

    path: Path
    stage: stages.Stage
    frames: int
    """How many there are, ARP and all else included."""
    seen: list[Seen]
    """Those with an IPv4 packet."""
    client: Address
    server: Address
    handshake: Handshake
    others: list[Handshake] = field(default_factory=list)
    """The other connections to the server, also those that only the server's card heard."""

    @classmethod
    def read(cls, path: Path) -> "Facts":
        """Read client 1's capture, and the server's beside it. Raises LabError where one is damaged or foreign."""
        number, seen = _seen(path)
        stage = _stage(path, seen)
        opened = list(_handshakes(seen, stage.port))
        if not opened:
            raise LabError(
                f"{path} does not have the three segments that open client 1's connection; "
                f"make another capture: make stage-{stage.number} capture"
            )
        first, *others = opened
        beside = path.with_name(SERVER_FILE)
        if path.name == CLIENT_FILE and beside.is_file():
            heard = _handshakes(_seen(beside)[1], stage.port)
            others += [other for other in heard if other.syn.packet.source != first.syn.packet.source]
        return cls(path, stage, number, seen, first.syn.packet.source, first.syn.packet.target, first, others)

    @property
    def syn(self) -> Seen:
        """The segment with which client 1 opens its connection."""
        return self.handshake.syn

    @property
    def synack(self) -> Seen:
        """The server's answer to it."""
        return self.handshake.synack

    @cached_property
    def whispers(self) -> list[Seen]:
        """The whispers that client 1 sent."""
        return [each for each in self._whispers if each.packet.source[0] == self.client[0]]

    @cached_property
    def answers(self) -> list[Seen]:
        """The whispers that came to client 1."""
        return [each for each in self._whispers if each.packet.target[0] == self.client[0]]

    @property
    def whisper(self) -> Seen:
        """The first whisper that client 1 sent."""
        return self.whispers[0]

    @cached_property
    def _whispers(self) -> list[Seen]:
        found = (each for each in self.seen if each.packet.transport == "UDP")
        return [each for each in found if (declared(each.packet.data) or {}).get("type") == "whisper"]

    @cached_property
    def secret(self) -> list[Seen]:
        """The whispers of client 1 in which canary 2 can be read."""
        return [each for each in self.whispers if CANARY.search(each.packet.data)]

    @cached_property
    def told(self) -> Counter[str]:
        """How many whispers client 1 sent to whom."""
        return Counter(name_of(each.packet.target[0]) for each in self.whispers)

    @property
    def most(self) -> int:
        """How many whispers went to the one who got most."""
        return max(self.told.values(), default=0)

    @property
    def friends(self) -> list[str]:
        """Who got most whispers; several where it is a tie."""
        return [name for name, number in self.told.items() if number == self.most]

    @property
    def both(self) -> int:
        """How many whispers went to them and came back from them."""
        return self.most + sum(name_of(each.packet.source[0]) in self.friends for each in self.answers)

    @property
    def sealed(self) -> bool:
        """Did client 1 whisper, and in ciphertext only?"""
        said = [declared(each.packet.data) or {} for each in self.whispers]
        return bool(said) and all("ciphertext" in fields for fields in said)

    @cached_property
    def stream(self) -> list[Seen]:
        """The segments of client 1's first connection, in both directions."""
        ends = {self.client, self.server}
        of_tcp = (each for each in self.seen if each.packet.transport == "TCP" and each.number >= self.syn.number)
        return [each for each in of_tcp if {each.packet.source, each.packet.target} == ends]

    @cached_property
    def third(self) -> Message | None:
        """Client 1's third message to the room, where it can be told from the others."""
        begin = self.syn.seq + 1
        parts: dict[int, Seen] = {}
        for each in self.stream:
            if each.packet.source == self.client and each.payload:
                parts.setdefault(each.seq - begin & _WORD, each)  # what is sent again counts once
        data = b""
        for start, each in sorted(parts.items()):
            if start > len(data):  # something is missing: where the messages behind it begin, nobody can tell
                break
            data += each.packet.data[len(data) - start :]
        at, says = 0, []
        for line in data.splitlines(keepends=True):
            if (declared(line) or {}).get("type") == "say":
                says.append((at, at + len(line)))
            at += len(line)
        return self._message(parts, *says[2]) if len(says) > 2 else None

    def _message(self, parts: dict[int, Seen], start: int, end: int) -> Message:
        """Which segments carry these bytes of client 1's stream."""
        carry = [each for at, each in sorted(parts.items()) if at < end and at + each.payload > start]
        upto = self.syn.seq + 1 + end & _WORD
        back = [each for each in self.stream if each.packet.source == self.server and each.number > carry[0].number]
        acks = next((n for n, each in enumerate(back, 1) if each.ack == upto), 0)
        return Message(carry, end - start, acks)

    @cached_property
    def ending(self) -> Seen | None:
        """The first segment that ends client 1's connection."""
        return next((each for each in self.stream if each.packet.flags & (FIN | RST)), None)


def _seen(path: Path) -> tuple[int, list[Seen]]:
    """How many frames there are, and those with IPv4 in them. Raises LabError."""
    number, found = 0, []
    for number, data in ((frame.number, frame.data) for frame in frames(path)):
        if number > MOST_FRAMES:
            raise LabError(f"{path} has more than {MOST_FRAMES} frames; the questions are for a short conversation.")
        packet = dissected(data)
        if packet and packet.transport != "ARP":
            found.append(Seen(number, data, packet))
    return number, found


def _stage(path: Path, seen: Sequence[Seen]) -> stages.Stage:
    """The stage whose port is met first."""
    ports = {stage.port: stage for stage in stages.catalogue().values()}
    for each in seen:
        for _, port in (each.packet.target, each.packet.source):
            if each.packet.transport == "TCP" and port in ports:
                return ports[port]
    raise LabError(f"There is no chat of the lab in {path}; make a capture of one: make stage-1 capture")


def _handshakes(seen: Sequence[Seen], port: int) -> Iterator[Handshake]:
    """The connections to this port that were opened in the capture, in order."""
    tcp = [each for each in seen if each.packet.transport == "TCP"]
    for syn in tcp:
        if syn.packet.flags & (SYN | ACK) == SYN and syn.packet.target[1] == port:
            later = [each for each in tcp if each.number > syn.number]
            back = (each for each in later if each.packet.flags & SYN and each.ack == syn.seq + 1 & _WORD)
            synack = next(back, None)
            on = (e for e in later if synack and e.packet.source == syn.packet.source and e.seq == synack.ack)
            if synack and (last := next(on, None)):
                yield Handshake(syn, synack, last)
