"""What can be done with a running LAN from another terminal: `lab exec`, `lab capture`, `lab dns`, `lab become`."""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

from common import lan_enter
from common.errors import LabError
from common.lan import CARDS, PLAN, PREFIX, Kind
from common.text import printable
from lab import running
from lab.capture import MAX_FRAME, Recording

Frame = tuple[float, bytes]
"""When it was heard, and its bytes."""
ETH_P_ALL: Final = 3
QUEUED: Final = 10_000
"""More frames than a socket keeps for us."""
SHOWN: Final = 300
"""How many characters of a frame's words are shown in a line."""
NAMES: Final = {f"{PREFIX}.{number}": name for name, number in PLAN.items()}
HOSTS: Final = {card: name for name, card in CARDS.items()}


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
    with _card(there, "") as (card, lan_ends):
        print(
            f"LAN {there.about.id}: questions for names, and answers, as they cross the wire; Ctrl-C ends.", flush=True
        )
        for _, frame in heard(card, [lan_ends]):
            if line := name_line(frame):
                print(line, flush=True)
    print("The LAN has ended.")


def capture(lab: str, host: str, write: str, count: int, seconds: float, tool: list[str]) -> None:
    """Record what a host's card hears, or show it. Raises LabError."""
    here = os.environ.get("LAB_HOST", "")
    if here and host not in ("", here):
        raise LabError(f"You are on {here}, which hears its own card only; capture on {host} from outside the LAN.")
    if not (host or here):
        raise LabError(f"Say on which host: lab capture alice; there are: {', '.join(PLAN)}.")
    if tool:
        _capture_with_tool(lab, "" if here else host, tool)
    if write and not Path(write).parent.is_dir():
        raise LabError(f"{Path(write).parent} is no folder; --write takes a file in a folder that is there.")
    if write and (Path(write).is_dir() or not os.access(Path(write).parent, os.W_OK)):
        raise LabError(f"{write} cannot be written; --write takes a file in a folder that is yours.")
    with _own_card() if here else _card(running.chosen(lab), host) as (card, lan_ends), _ctrl_c() as person_ends:
        print("Listening; Ctrl-C ends.", file=sys.stderr, flush=True)
        frames: list[Frame] = []
        for when, frame in islice(heard(card, [lan_ends, person_ends], seconds), count or None):
            if write:
                frames.append((when, frame))
            else:
                print(f"{time.strftime('%H:%M:%S', time.localtime(when))}  {frame_line(frame)}", flush=True)
    if write:
        try:
            Recording([(int(when * 1e9), frame) for when, frame in frames]).write(Path(write))
        except OSError as error:
            raise LabError(f"{write} cannot be written ({error.strerror}); capture again, elsewhere.") from None
        print(f"{len(frames)} frames are in {write}.")


def _capture_with_tool(lab: str, host: str, arguments: list[str]) -> NoReturn:
    """Hand the rest to tcpdump, or to tshark. Raises LabError where there is neither."""
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    tool = next((found for name in ("tcpdump", "tshark") if (found := shutil.which(name, path=search))), "")
    if not tool:
        raise LabError(
            "What stands after -- is for tcpdump or tshark, and neither is installed (sudo apt install tcpdump); "
            "without it, the lab itself listens."
        )
    command = [tool, "-i", "eth0", *arguments]
    if host:
        execute(lab, host, command)
    os.execv(tool, command)  # noqa: S606 - no shell is the point


@contextlib.contextmanager
def _card(there: running.Running, host: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A host's card to listen to, or the switch's mirror port, and what ends when the LAN does. Raises LabError."""
    with (
        there.asked(want="packets", host=host) as (owner, _, descriptors),
        socket.socket(fileno=descriptors[0]) as card,
    ):
        yield card, owner


@contextlib.contextmanager
def _own_card() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The same on a host, where anybody may listen to the card, and nobody outlives the LAN. Raises LabError."""
    ends, never = socket.socketpair()
    with ends, never, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as card:
        try:
            card.bind(("eth0", ETH_P_ALL))
        except OSError as error:
            raise LabError(f"This host's card cannot be listened to ({error.strerror}).") from None
        yield card, ends


@contextlib.contextmanager
def _ctrl_c() -> Iterator[socket.socket]:
    """What can be read from once the person presses Ctrl-C or ends us: nothing is interrupted, so nothing is lost."""
    ends, pressed = socket.socketpair()
    pressed.setblocking(False)
    numbers = (signal.SIGINT, signal.SIGTERM)
    with ends, pressed:
        before = [signal.signal(number, lambda *_: pressed.send(b".") and None) for number in numbers]
        yield ends
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def heard(card: socket.socket, ends: list[socket.socket], seconds: float = 0) -> Iterator[Frame]:
    """Frames as they come, for so many seconds or until one of `ends` can be read from; what had come by then, too."""
    until = time.monotonic() + seconds if seconds else None
    card.setblocking(False)
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([card, *ends], [], [], left)
        if not ready or any(end in ready for end in ends):
            break
        yield time.time(), card.recv(MAX_FRAME)
    with contextlib.suppress(BlockingIOError):
        for _ in range(QUEUED):
            yield time.time(), card.recv(MAX_FRAME)


def frame_line(frame: bytes) -> str:
    """A frame in one line: from whom, to whom, what it says."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    packet = Ether(frame)
    if line := name_line(frame):
        return line
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
        answers = ", ".join(str(answer.rdata) for answer in record.rr) or "there is none"
    except UNREADABLE:
        return ""
    asker, server = (packet[IP].src, packet[IP].dst)[:: -1 if record.header.qr else 1]
    if not record.header.qr:
        return printable(f"{_host(asker)} asks {_host(server)}: {name}, {_type(kind)}?")
    card = HOSTS.get(packet[Ether].src, packet[Ether].src)
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
