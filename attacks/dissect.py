"""The chat protocol as scapy layers, and frames to messages.

    python -m attacks.sniffer --stage 1 --read room.pcapng

`Listener` is what attacks use: frames in, `Heard` out, with TCP streams reassembled, so that a message is found
however it was cut into segments. In a scapy shell, `bind(port)` makes `sniff(session=TCPSession)` show the same
layers, and of a file

    for heard in messages(rdpcap("room.pcapng"), 5001):
        print(heard.summary)

prints every message. Nothing here knows a key: a ciphertext is one field like another.

scapy takes most of a second to import, so the rest of the lab imports this module only when frames are to be read.
"""

import base64
import json
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from keyword import iskeyword
from typing import Any, Final

from scapy.fields import PacketListField, StrField
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw, bind_layers
from scapy.sessions import TCPSession

from common.limits import LINE_BYTES
from common.session import Address
from stages import catalogue

REMEMBERED: Final = 64
"""How many of a stream's segments are known again when they are sent again."""


class ChatMessage(Packet):
    """One message that no stage declares: shown as it came."""

    name = "chat message"
    fields_desc = [StrField("line", b"")]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _layer(tag: str, fields: list[str]) -> type[ChatMessage]:
    """A layer with the fields of one declared message; `from`, a word of Python's own, becomes `from_`."""
    described = [StrField(name + "_" * iskeyword(name), b"") for name in fields]
    return type(f"Chat{tag.title()}", (_Declared,), {"name": f"chat {tag}", "fields_desc": described})


class _Declared(ChatMessage):
    """One message of the protocol: the fields of its JSON object, by their names on the wire."""

    fields_desc = []

    def do_dissect(self, s: bytes) -> bytes:
        value = json.loads(s)
        self.fields = {f.name: value[n] for f in self.fields_desc if (n := f.name.rstrip("_")) in value}
        self.raw_packet_cache = s
        return b""

    def self_build(self) -> bytes:
        """The line as it was, or as the fields now say."""
        if self.raw_packet_cache:
            return self.raw_packet_cache
        said = {name.rstrip("_"): value for name, value in self.fields.items()}
        return json.dumps(said, separators=(",", ":")).encode()


@cache
def layers() -> dict[str, type[ChatMessage]]:
    """A layer for each message that any stage declares, with the fields of all stages."""
    fields: dict[str, dict[str, None]] = {}
    for stage in catalogue().values():
        for tag, kind in stage.messages.items():
            fields.setdefault(tag, {"type": None}).update(dict.fromkeys(kind.__struct_encode_fields__))
    return {tag: _layer(tag, list(names)) for tag, names in fields.items()}


def message(line: bytes) -> ChatMessage:
    """The layer for one line or datagram, whatever its bytes are."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ChatMessage(line=line)
    tag = value.get("type") if isinstance(value, dict) else None
    layer = layers().get(tag) if isinstance(tag, str) else None
    return layer(line) if layer else ChatMessage(line=line)


class ChatStream(Packet):
    """A stretch of a TCP stream: the messages of every line that is complete in it."""

    name = "chat stream"
    fields_desc = [PacketListField("messages", [], ChatMessage)]

    def do_dissect(self, s: bytes) -> bytes:
        *lines, rest = s.split(b"\n")
        self.fields = {"messages": [message(line) for line in lines if line]}
        self.raw_packet_cache = s[: len(s) - len(rest)]
        return rest

    def self_build(self) -> bytes:
        return b"".join(bytes(message) + b"\n" for message in self.fields.get("messages", []))

    @classmethod
    def tcp_reassemble(cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]) -> Packet | None:
        """Called by TCPSession with all that has arrived and is not yet taken: take it where a line ends.

        What grows beyond any line the protocol allows is somebody else's traffic and is let go.
        """
        if data.endswith(b"\n") or metadata.get("tcp_end") or len(data) > 2 * LINE_BYTES:
            return cls(data)
        return None


def payload_bytes(packet: Packet) -> int:
    """How many bytes of a stream a TCP segment carries."""
    return int(packet[IP].len - 4 * packet[IP].ihl - 4 * packet[TCP].dataofs)


def bind(port: int) -> None:
    """Let scapy find the chat in TCP streams from and to this port."""
    bind_layers(TCP, ChatStream, dport=port)
    bind_layers(TCP, ChatStream, sport=port)


@dataclass(frozen=True, slots=True)
class Heard:
    """One message, as it crossed the wire."""

    source: Address
    target: Address
    transport: str
    fields: dict[str, Any]

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


_BYTES: Final = ("ciphertext",)


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode(errors="replace")


class Listener:
    """Frames in, messages out. One for each wire that is listened to; it remembers half-finished lines."""

    def __init__(self, port: int) -> None:
        bind(port)
        self.port = port
        self._streams = TCPSession()
        self._taken: dict[tuple[Address, Address], deque[tuple[int, int]]] = {}

    def hear(self, frame: bytes) -> Iterator[Heard]:
        """Every message that this Ethernet frame completes; what is no whole frame completes none."""
        try:
            packet = Ether(frame)
        except struct.error:
            return
        if IP not in packet:
            return
        if UDP in packet and isinstance(packet[UDP].payload, Raw):
            yield from self._found(packet, UDP, [message(bytes(packet[UDP].payload))])
        elif TCP in packet and self.port in (packet[TCP].sport, packet[TCP].dport) and not self._again(packet):
            complete = self._streams.process(packet)
            if complete is not None and ChatStream in complete:
                yield from self._found(complete, TCP, complete[ChatStream].messages)

    def _again(self, packet: Packet) -> bool:
        """Was this segment sent before? A sender that waits too long for an answer repeats its last one, and scapy
        would take that for another message."""
        way = ((packet[IP].src, packet[TCP].sport), (packet[IP].dst, packet[TCP].dport))
        segment = (packet[TCP].seq, payload_bytes(packet))
        taken = self._taken.setdefault(way, deque(maxlen=REMEMBERED))
        again = segment[1] > 0 and segment in taken
        taken.append(segment)
        return again

    def _found(self, packet: Packet, transport: type[Packet], found: list[Packet]) -> Iterator[Heard]:
        source = (packet[IP].src, packet[transport].sport)
        target = (packet[IP].dst, packet[transport].dport)
        for layer in found:
            if isinstance(layer, _Declared):
                yield Heard(source, target, transport.__name__, json.loads(bytes(layer)))


def messages(packets: Iterable[Packet], port: int) -> Iterator[Heard]:
    """Every message in packets of scapy's, such as `rdpcap` returns, on this port and in whispers, in order.

    What is inside TLS stays closed here; `lab.wireshark.decrypted` opens a capture that has its secrets in it.
    """
    listener = Listener(port)
    for packet in packets:
        yield from listener.hear(bytes(packet))
