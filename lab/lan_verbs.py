"""What can be done with a running LAN from another terminal: `lab exec`, `lab capture`, `lab dns`, `lab become`."""

import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from common import lan_enter
from common.errors import LabError
from common.lan import PLAN, PREFIX, Kind
from common.text import printable
from lab import running
from lab.capture import MAX_FRAME, Recording

SHOWN: Final = 300
"""How many characters of a frame's words are shown in a line."""
NAMES: Final = {f"{PREFIX}.{number}": name for name, number in PLAN.items()}
CARDS: Final = {f"02:00:00:00:00:{number:02x}": name for name, number in PLAN.items()}


def execute(lab: str, host: str, command: list[str]) -> NoReturn:
    """Run a command on a host, or a shell where none is given, and end as it ends. Raises LabError."""
    _only_outside("lab exec")
    there = running.chosen(lab)
    try:
        lan_enter.enter(there.control, host or "?", command)
    except lan_enter.Refused as why:
        raise LabError(str(why)) from None
    except OSError as error:
        raise LabError(f"{host} cannot be entered ({error.strerror or error}); has the LAN ended?") from None


def become(lab: str, kind: Kind) -> None:
    """Make the LAN a hub or a switch. Raises LabError."""
    _only_outside("lab become")
    with running.chosen(lab).asked(want="become", kind=kind):
        pass
    heard = "everybody hears every frame" if kind == "hub" else "each hears what is sent to them, and what goes to all"
    print(f"The LAN is a {kind} now: {heard}.")


def dns(lab: str) -> None:
    """Print every question for a name and every answer, until the LAN ends. Raises LabError.

    They are read off the wire and not from the server's own log, which would know nothing of answers that it never
    gave: those are what an attack is made of.
    """
    _only_outside("lab dns")
    there = running.chosen(lab)
    print(f"LAN {there.about.id}: questions for names, and answers, as they cross the wire; Ctrl-C ends.", flush=True)
    for _, frame in _frames(there, ""):
        if line := name_line(frame):
            print(line, flush=True)


def capture(lab: str, host: str, write: str, count: int, seconds: float, tool: list[str]) -> None:
    """Record what a host's card hears, or show it. Raises LabError."""
    here = os.environ.get("LAB_HOST", "")
    if here and host not in ("", here):
        raise LabError(f"You are on {here}, which hears its own card only; capture on {host} from outside the LAN.")
    if not (host or here):
        raise LabError(f"Say on which host: lab capture alice; there are: {', '.join(PLAN)}.")
    if tool:
        _capture_with_tool(lab, "" if here else host, tool)
    there = None if here else running.chosen(lab)
    target = Path(write) if write else None
    if target and not target.parent.is_dir():
        raise LabError(f"{target.parent} is no folder; --write takes a file in a folder that is there.")
    frames = _recorded(_own_frames(seconds) if there is None else _frames(there, host, seconds), count, not write)
    if target:
        Recording(frames).write(target)
        print(f"{len(frames)} frames are in {write}.")


def _recorded(frames: Iterator[tuple[float, bytes]], count: int, show: bool) -> list[tuple[float, bytes]]:
    """Frames until there are enough, or Ctrl-C."""
    kept: list[tuple[float, bytes]] = []
    shown = 0
    print("Listening; Ctrl-C ends.", file=sys.stderr, flush=True)
    try:
        for when, frame in frames:
            if show:
                print(f"{time.strftime('%H:%M:%S', time.localtime(when))}  {frame_line(frame)}", flush=True)
                shown += 1
            else:
                kept.append((when, frame))
            if count and max(shown, len(kept)) >= count:
                break
    except KeyboardInterrupt:
        pass
    return kept


def _capture_with_tool(lab: str, host: str, arguments: list[str]) -> NoReturn:
    """Hand the rest to tcpdump, or to tshark. Raises LabError where there is neither."""
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    tool = next((t for t in ("tcpdump", "tshark") if shutil.which(t, path=search)), "")
    if not tool:
        raise LabError(
            "What stands after -- is for tcpdump or tshark, and neither is installed (sudo apt install tcpdump); "
            "without it, the lab itself listens."
        )
    command = [tool, "-i", "eth0", *arguments]
    if host:
        execute(lab, host, command)
    os.execvp(tool, command)  # noqa: S606 - no shell is the point


def _frames(there: running.Running, host: str, seconds: float = 0) -> Iterator[tuple[float, bytes]]:
    """Frames that a host's card hears, or those of the whole LAN, until it ends."""
    with there.asked(want="packets", host=host) as (owner, _, descriptors):
        yield from _heard(socket.socket(fileno=descriptors[0]), owner, seconds)


def _own_frames(seconds: float) -> Iterator[tuple[float, bytes]]:
    """The same on a host, where anybody may listen to the card."""
    try:
        card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        card.bind(("eth0", 3))
    except OSError as error:
        raise LabError(f"This host's card cannot be listened to ({error.strerror}).") from None
    yield from _heard(card, None, seconds)


def _heard(card: socket.socket, owner: socket.socket | None, seconds: float) -> Iterator[tuple[float, bytes]]:
    until = time.monotonic() + seconds if seconds else None
    with card:
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready, _, _ = select.select([card, *([owner] if owner else [])], [], [], left)
            if card in ready:
                yield time.time(), card.recv(MAX_FRAME)
            elif owner in ready:
                raise LabError("The LAN has ended.")
            elif not ready:
                return


def frame_line(frame: bytes) -> str:
    """A frame in one line: from whom, to whom, what it says."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    packet = Ether(frame)
    for kind in (TCP, UDP):
        if IP in packet and kind in packet:
            layer, ip = packet[kind], packet[IP]
            ways = f"{_host(ip.src)}:{layer.sport} → {_host(ip.dst)}:{layer.dport}  {kind.__name__}"
            words = bytes(layer.payload)[: ip.len - 4 * ip.ihl - (4 * layer.dataofs if kind is TCP else 8)]
            flags = f" {layer.flags}" if kind is TCP else ""
            return f"{ways}{flags}  {_words(words)}".rstrip()
    return printable(packet.summary())


def name_line(frame: bytes) -> str:
    """A question for a name or an answer in one line; empty for what is neither."""
    from dnslib import DNSRecord
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    from common.dns import PORT, UNREADABLE

    packet = Ether(frame)
    if IP not in packet or UDP not in packet or PORT not in (packet[UDP].sport, packet[UDP].dport):
        return ""
    try:
        record = DNSRecord.parse(bytes(packet[UDP].payload))
        name, kind = str(record.q.qname).rstrip("."), str(record.q.qtype)
    except UNREADABLE:
        return ""
    asker, server = (packet[IP].src, packet[IP].dst)[:: -1 if record.header.qr else 1]
    if not record.header.qr:
        return printable(f"{_host(asker)} asks {_host(server)}: {name}, {_type(kind)}?")
    answers = ", ".join(str(answer.rdata) for answer in record.rr) or "there is none"
    card = CARDS.get(packet[Ether].src, packet[Ether].src)
    forged = "" if card == _host(server) else f" (from the card of {card})"
    return printable(f"{_host(server)}{forged} answers {_host(asker)}: {name}, {_type(kind)}: {answers}")


def _type(number: str) -> str:
    from dnslib import QTYPE

    known: str = QTYPE.get(int(number), number)
    return known


def _host(address: str) -> str:
    return NAMES.get(address, address)


def _words(data: bytes) -> str:
    text = printable(data.decode(errors="replace").replace("\n", " "))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


def _only_outside(verb: str) -> None:
    if here := os.environ.get("LAB_HOST", ""):
        raise LabError(f"You are on {here}, inside the LAN; type {verb} in the overview or in another terminal.")
