"""What the tests of captures share: what was really sent, what tshark shows of a file, and files made by hand."""

import json
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from common import client, runtime, whispers
from lab import pcapng
from lab.dissector import lua

SECONDS = 30.0
"""No capture here takes tshark longer, however hostile it is."""

Row = tuple[str, str]
"""A field's name in filters, and its value."""

Ends = tuple[str, str, str]
"""From which address, to which, over what."""

ALICE, SERVER, BOB = "10.13.37.21", "10.13.37.10", "10.13.37.22"


class Sent:
    """Every byte that the sessions of a run gave to their transports, as the programs did it: before TLS, before the
    network, and without looking at what they mean."""

    def __init__(self) -> None:
        self.streams: defaultdict[Ends, bytes] = defaultdict(bytes)
        self.datagrams: defaultdict[Ends, list[bytes]] = defaultdict(list)

    def rows(self) -> dict[Ends, list[list[Row]]]:
        """Each message's fields, by their ends, in order."""
        lines = {ends: data.splitlines() for ends, data in self.streams.items()} | dict(self.datagrams)
        return {ends: [list(rows_of(json.loads(line))) for line in found] for ends, found in lines.items()}

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between every session and its transport."""
        for kind in (runtime._Connection, client.Client, whispers.Whispers):
            patch.setattr(kind, "connection_made", self._with_spy(kind.connection_made))

    def _with_spy(self, honest: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        return lambda protocol, transport: honest(protocol, Spy(transport, self))


class Spy:
    """A transport, and a record of what is written to it."""

    def __init__(self, transport: Any, sent: Sent) -> None:
        self._transport = transport
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._sent.streams[self._ends("TCP", self.get_extra_info("peername"))] += data
        self._transport.write(data)

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        self._sent.datagrams[self._ends("UDP", address)].append(data)
        self._transport.sendto(data, address)

    def _ends(self, transport: str, peer: tuple[str, int]) -> Ends:
        return public(self.get_extra_info("sockname")[0]), public(peer[0]), transport


def public(address: str) -> str:
    """On the loopback network: the address that a host is known under."""
    return address.replace("127.1.", "127.0.", 1)


def rows_of(value: Any, name: str = "lab") -> Iterator[Row]:
    """The fields of a message that came as JSON, as filters name them; what is null is not there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from rows_of(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from rows_of(inner, name)
    elif value is not None:
        yield name, str(value)


def tshark(file: Path, *options: str) -> str:
    """What tshark prints of a file, with the dissector. Fails where that takes long, or where the dissector crashes."""
    tool = shutil.which("tshark")
    if tool is None:
        pytest.skip("needs tshark: sudo apt install tshark")
    script = file.with_suffix(".lua")
    script.write_text(lua(), encoding="utf-8")
    command = [tool, "-X", f"lua_script:{script}", "-r", str(file), *options]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
    output = done.stdout.decode("utf-8", "replace")
    assert "Lua Error" not in output + done.stderr.decode("utf-8", "replace")
    return output


def fields(file: Path, *names: str, where: str = "lab") -> list[list[str]]:
    """These fields of all frames that a filter lets through."""
    asked = [word for name in names for word in ("-e", name)]
    return [line.split("\t") for line in tshark(file, "-Y", where, "-T", "fields", *asked).splitlines()]


def messages(file: Path) -> dict[Ends, list[list[Row]]]:
    """Each message's fields as tshark shows them, by their ends, in order."""
    found: dict[Ends, list[list[Row]]] = {}
    for packet in ElementTree.fromstring(tshark(file, "-Y", "lab", "-T", "pdml", "-J", "ip tcp lab")):  # noqa: S314
        ends = (_of(packet, "ip.src"), _of(packet, "ip.dst"), "TCP" if _of(packet, "tcp.srcport") else "UDP")
        for line in packet.iterfind(".//field[@name='lab.line']"):
            found.setdefault(ends, []).append(list(_rows(line)))
    return found


def _of(packet: ElementTree.Element, name: str) -> str:
    field = packet.find(f".//field[@name='{name}']")
    return "" if field is None else field.attrib["show"]


def _rows(line: ElementTree.Element) -> Iterator[Row]:
    for field in line.iter("field"):
        name, value = field.attrib["name"], field.attrib.get("show", "")
        if name not in ("lab.line", "lab.stage", "lab.members", ""):
            yield name, {"1": "True", "0": "False"}.get(value, value) if name == "lab.more" else value


def written(folder: Path, *frames: bytes) -> Path:
    """A capture with these frames."""
    path = folder / "made.pcapng"
    pcapng.write(path, "lan", [pcapng.Frame(number, frame) for number, frame in enumerate(frames)])
    return path


def segments(port: int, *parts: bytes) -> list[bytes]:
    """What Alice sends to the server, in these parts, as frames; the connection begins before and does not end."""
    frames, seq = [_frame(TCP(sport=40000, dport=port, seq=0, flags="S"))], 1
    for part in parts:
        frames.append(_frame(TCP(sport=40000, dport=port, seq=seq, ack=1, flags="PA") / part))
        seq += len(part)
    return frames


def datagram(data: bytes, ports: Sequence[int] = (40001, 40002)) -> bytes:
    """What Alice sends to Bob, as a frame."""
    return _frame(UDP(sport=ports[0], dport=ports[1]) / data, BOB)


def _frame(transport: Any, target: str = SERVER) -> bytes:
    return bytes(Ether() / IP(src=ALICE, dst=target) / transport)
