"""The chat protocol as scapy layers, for whoever writes an attack or looks about in a scapy shell.

    bind(5001)
    sniff(offline="room.pcapng", session=TCPSession, prn=lambda packet: packet.show())

Each message that a stage declares is a layer with the fields of its JSON object. And of a file,

    for heard in messages(rdpcap("room.pcapng"), 5001):
        print(heard.summary)

prints every message. The lab's own attacks listen with `attacks.listener`, which needs no scapy and is a hundred times
as fast. Nothing here knows a key: a ciphertext is one field like another.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from keyword import iskeyword
from typing import Any

from scapy.fields import PacketListField, StrField
from scapy.layers.inet import TCP
from scapy.packet import Packet, bind_layers

from attacks.listener import Heard, Listener, fields
from common.limits import LINE_BYTES


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
    return {tag: _layer(tag, list(names)) for tag, names in fields().items()}


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


def bind(port: int) -> None:
    """Let scapy find the chat in TCP streams from and to this port."""
    bind_layers(TCP, ChatStream, dport=port)
    bind_layers(TCP, ChatStream, sport=port)


def messages(packets: Iterable[Packet], port: int) -> Iterator[Heard]:
    """Every message in packets of scapy's, such as `rdpcap` returns, on this port and in whispers, in order.

    What is inside TLS stays closed here; `lab.wireshark.decrypted` opens a capture that has its secrets in it.
    """
    listener = Listener(port)
    for packet in packets:
        yield from listener.hear(bytes(packet))
