"""Frames to messages: TCP streams put together, datagrams taken as they are.

    listener = Listener(5001)
    for frame in frames(path):
        for heard in listener.hear(frame.data):
            print(heard.summary)

One path for what is heard live and for what is read from a file, made for speed: the usual frame costs one look at its
headers and one at its message, and nothing becomes an object that nobody asked for. The same messages as layers for a
scapy shell stand in `attacks.dissect`. Nothing here knows a key: a ciphertext is one field like another.

What a receiver would drop is dropped: bytes that come again, also where packets overlap or the sequence number goes
round. What comes too early waits, within bounds, for what is missing. What is never heard is counted in `noticed`
and said to whoever reads the file. IP fragments are counted and passed over: no message of the lab is long enough to
need them. Unlike a receiver this takes the first of two segments that disagree, as most receivers do, and no part in
the conversation: who sends what only a listener takes (Ptacek and Newsham, 1998) deceives this one too.
"""

import base64
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from attacks.packets import ACK, FRAGMENT, SYN, plain
from common.limits import LINE_BYTES
from common.session import Address
from stages import catalogue

HELD_SEGMENTS: Final = 64
HELD_BYTES: Final = 1 << 16
"""How much of a stream may wait for what is missing before it; then that is given up."""
WAYS: Final = 1024
"""How many directions of conversations are known at once; beyond that, the oldest are forgotten."""

_WORD, _HALF = 0xFFFFFFFF, 1 << 31
"""Sequence numbers go round; what is less than half a round ahead is later (RFC 9293, section 3.4)."""
_HEADERS: Final = struct.Struct(">12xHBxH2xHxB2x12sI4xH").unpack_from
"""EtherType; IPv4's version, total length, fragment, protocol; addresses and ports; TCP's seq, offset and flags."""
_TCP, _UDP = 6, 17
_BYTES: Final = ("ciphertext",)
_decode = msgspec.json.Decoder().decode

Reads = Callable[[bytes], dict[str, Any] | None]
"""Gets a line or datagram, returns its fields, the kind as `type`; None for what is no message."""


class Heard(msgspec.Struct, frozen=True):
    """One message, as it crossed the wire. `conversation` numbers them from 1, in the order in which they begin."""

    source: Address
    target: Address
    transport: str
    fields: dict[str, Any]
    conversation: int = 0

    @property
    def summary(self) -> str:
        """The message as one readable line: its type, then its fields."""
        said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.fields.items()}
        return " ".join(value if name == "type" else f"{name}={value}" for name, value in said.items())

    @property
    def words(self) -> list[str]:
        """Every text in it, whatever the field is called; of bytes in base64, what they say as text."""
        texts = [value for value in self.fields.values() if isinstance(value, str)]
        return [*texts, *(_decoded(self.fields[name]) for name in _BYTES if name in self.fields)]


def _decoded(value: Any) -> str:
    """What bytes in base64 say as text; nothing where somebody wrote what is none: RFC 4648 and strings."""
    try:
        return base64.b64decode(value).decode(errors="replace")
    except (TypeError, ValueError):
        return ""


class Noticed(msgspec.Struct):
    """What a listener saw beside messages: segments sent again, bytes never heard, IP fragments, frames that were
    captured in part, bytes of its port that are no messages, and packets to or from other TCP ports."""

    repeated: int = 0
    missing: int = 0
    fragments: int = 0
    cut: int = 0
    unread: int = 0
    ports: Counter[int] = msgspec.field(default_factory=Counter)


class _Way(msgspec.Struct):
    """One direction of a conversation: from `first` on, all bytes before `next` have been taken."""

    source: Address
    target: Address
    conversation: int
    first: int = 0
    next: int = 0
    rest: bytes = b""
    """The beginning of a line."""
    held: dict[int, bytes] = {}
    """What came too early, by sequence number."""


@cache
def fields() -> dict[str, dict[str, None]]:
    """The fields of each message that any stage declares, in the order of the stages."""
    found: dict[str, dict[str, None]] = {}
    for stage in catalogue().values():
        for tag, kind in stage.messages.items():
            found.setdefault(tag, {"type": None}).update(dict.fromkeys(kind.__struct_encode_fields__))
    return found


class Listener:
    """Frames in, messages out. One for each wire that is listened to; it remembers half-finished lines.

    reads: what makes a message of a line or datagram; the lab's own messages where nothing else is given.
    """

    def __init__(self, port: int, reads: Reads | None = None) -> None:
        self.port = port
        self._reads = reads or declared
        self.noticed = Noticed()
        self._ways: dict[bytes, _Way] = {}
        self._conversations = 0

    @property
    def met(self) -> bool:
        """Has anything been heard on its port, or any message?"""
        return bool(self._ways)

    def hear(self, frame: bytes) -> Sequence[Heard]:
        """Every message that this Ethernet frame completes; what is no whole frame completes none."""
        if len(frame) < 48:
            frame = frame.ljust(48, b"\0")  # as a card would, and beyond what the headers say
        kind, form, total, part, protocol, ends, seq, flags = _HEADERS(frame)
        if kind != 0x0800 or form != 0x45 or part & FRAGMENT:
            return self._unusual(frame)
        end = 14 + total
        if end > len(frame):
            self.noticed.cut += 1
            return ()
        if protocol == _UDP:
            return self._datagram(ends, frame[42:end])
        if protocol != _TCP:
            return ()
        way = self._ways.get(ends)
        if way is None or flags & SYN:
            way = self._begin(way, ends, seq, flags)
            seq += flags >> 1 & 1  # a SYN counts as one byte
        data = frame[34 + (flags >> 12) * 4 : end]
        if not data or way is None:
            return ()
        if seq != way.next or way.held:
            data = self._in_order(way, seq, data)
        else:
            way.next = seq + len(data) & _WORD
        return self._messages(way, data)

    def end(self) -> Iterator[Heard]:
        """Nothing more will come: what waited in vain for what was missing."""
        for way in self._ways.values():
            while way.held:
                yield from self._messages(way, self._give_up(way))
            self.noticed.unread += len(way.rest)
            way.rest = b""

    def _unusual(self, frame: bytes) -> Sequence[Heard]:
        """Tags and options are left out; of fragments there is nothing to be had."""
        whole = plain(frame)
        if whole is None:
            return ()
        if int.from_bytes(whole[20:22], "big") & FRAGMENT:
            self.noticed.fragments += 1
            return ()
        return self.hear(whole)

    def _datagram(self, ends: bytes, data: bytes) -> Sequence[Heard]:
        """A whisper can be told by what it says only: its ports are anybody's."""
        said = self._reads(data)
        if said is None:
            return ()
        way = self._ways.get(b"udp" + ends) or self._know(b"udp", ends, new=False)
        return (Heard(way.source, way.target, "UDP", said, way.conversation),)

    def _begin(self, way: _Way | None, ends: bytes, seq: int, flags: int) -> _Way | None:
        """A direction that is not known yet, or begins again: a port is used for one connection after another."""
        source, target = ends[8:10], ends[10:12]
        if (port := self.port.to_bytes(2, "big")) not in (source, target):
            self.noticed.ports.update(int.from_bytes(end, "big") for end in {source, target})
            return None
        first = seq + (flags >> 1 & 1) & _WORD
        if way is not None and way.first == first:
            return way  # the same SYN, sent again
        if way is not None:
            self._forget(way)
        way = self._know(b"", ends, new=flags & (SYN | ACK) == SYN and source != port)
        way.first = way.next = first
        return way

    def _know(self, kind: bytes, ends: bytes, *, new: bool) -> _Way:
        """Remember a direction, of a conversation of its own or of that which the other direction belongs to."""
        back = self._ways.get(kind + ends[4:8] + ends[:4] + ends[10:12] + ends[8:10])
        self._conversations += new or back is None
        number = self._conversations if new or back is None else back.conversation
        source, target = (
            (socket.inet_ntoa(ends[at : at + 4]), int.from_bytes(ends[8 + at // 2 : 10 + at // 2], "big"))
            for at in (0, 4)
        )
        self._ways.pop(kind + ends, None)
        way = self._ways[kind + ends] = _Way(source, target, number)
        if len(self._ways) > WAYS:
            self._forget(self._ways.pop(next(iter(self._ways))))
        return way

    def _forget(self, way: _Way) -> None:
        """What was half heard of a direction that is over."""
        self.noticed.unread += len(way.rest) + sum(map(len, way.held.values()))

    def _in_order(self, way: _Way, seq: int, data: bytes) -> bytes:
        """What can be taken now of a segment that is not the next one, or for which others have waited."""
        ahead = seq - way.next & _WORD
        if ahead >= _HALF:  # it begins with what has been taken
            data = data[_WORD + 1 - ahead :]
            self.noticed.repeated += not data
            if not data:
                return b""
            seq = way.next
        if len(data) > len(way.held.get(seq, b"")):
            way.held[seq] = data
        if seq == way.next:
            return self._take(way)
        if len(way.held) <= HELD_SEGMENTS and sum(map(len, way.held.values())) <= HELD_BYTES:
            return b""
        return self._give_up(way)

    def _take(self, way: _Way) -> bytes:
        """All that has waited and now follows without a gap."""
        taken = []
        for seq in sorted(way.held, key=lambda seq: seq - way.next + _HALF & _WORD):
            known = way.next - seq & _WORD
            if known >= _HALF:
                break
            data = way.held.pop(seq)[known:]
            way.next = way.next + len(data) & _WORD
            taken.append(data)
        return b"".join(taken)

    def _give_up(self, way: _Way) -> bytes:
        """What is missing before all that waits will not come; the line that it belongs to is lost."""
        gap = min(seq - way.next & _WORD for seq in way.held)
        self.noticed.missing += gap
        self.noticed.unread += len(way.rest)
        way.rest, way.next = b"", way.next + gap & _WORD
        return self._take(way)

    def _messages(self, way: _Way, data: bytes) -> Sequence[Heard]:
        """The messages that these next bytes of a stream complete."""
        *lines, rest = (way.rest + data).split(b"\n")
        if len(rest) > LINE_BYTES:  # longer than any line of the protocol: somebody else's traffic
            self.noticed.unread += len(rest)
            rest = b""
        way.rest = rest
        found = []
        for line in lines:
            said = self._reads(line)
            if said is not None:
                found.append(Heard(way.source, way.target, "TCP", said, way.conversation))
            elif line:
                self.noticed.unread += len(line) + 1
        return found


def declared(line: bytes) -> dict[str, Any] | None:
    """The fields of a line or datagram that is a message of any stage; None for whatever else it is."""
    try:
        value = _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = _lenient(line)
    if not isinstance(value, dict):
        return None
    tag = value.get("type")
    return value if isinstance(tag, str) and tag in fields() else None


def _lenient(line: bytes) -> Any:
    """JSON that is not quite right, as attackers write it: half a surrogate pair, NaN."""
    if not line.startswith(b"{"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
