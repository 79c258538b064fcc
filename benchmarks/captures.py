"""How fast a capture is read: the lab's own reader, against tshark and against scapy.

    python -m benchmarks.captures [--packets 200000] [--rounds 5] [--json]

The capture is made here: twenty members, each with a connection to the server, say something in turn; every packet
carries one message of stage 1. What is timed, all of it from the file on:

    lab        frames to messages: file, TCP streams, JSON, in this process (`attacks.pcap`, `attacks.listener`)
    sniffer    the program `sniffer --read FILE --as jsonl`, start included, its output thrown away
    tshark     the program `tshark -T fields`, start included: frame number, addresses, and the payload as it is.
               It is not even asked to take the JSON apart, and looks no names up (-n).
    scapy      sniff(offline=…, session=TCPSession) with the lab's layers, in this process, on a twentieth of the file

They take turns; figures are medians over the rounds, in microseconds a packet. A ratio belongs to one run on one
machine; the seconds alone say nothing.
"""

import argparse
import json
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attacks.listener import Listener
from attacks.pcap import frames
from benchmarks.rows import Result, Row, Tell
from common.messages import Say
from common.wire import encode

PORT: Final = 5001
MEMBERS: Final = 20
SCAPY_SHARE: Final = 20
"""scapy reads every so many-th part of the packets: the whole would take minutes a round."""
COMPARED: Final = (
    ("lab", "scapy", "frames to typed messages", "transcript-scapy"),
    ("lab", "tshark", "frames to typed messages", "transcript-tshark"),
    ("sniffer", "tshark", "the program `sniffer --read`, its start included", ""),
)
"""Ours, theirs, what it is, and the target that it answers."""
AGAINST: Final = {"scapy": "scapy's TCPSession", "tshark": "tshark -T fields"}
FIELDS: Final = ("frame.number", "ip.src", "ip.dst", "tcp.payload")


def write_capture(path: Path, packets: int) -> None:
    """A pcap file of so many messages, said in turn, each in a segment of its own."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        sent = [0] * MEMBERS
        for number in range(packets):
            who = number % MEMBERS
            line = encode(Say(sender=f"member-{who}", text=f"This is message number {number} of this capture."))
            frame = segment(who, sent[who], line)
            sent[who] += len(line)
            file.write(struct.pack("<IIII", 1_700_000_000 + number // 1000, number % 1000, len(frame), len(frame)))
            file.write(frame)


def segment(who: int, seq: int, data: bytes) -> bytes:
    """An Ethernet frame from a member to the server; TCP's checksum is left to a card that is not there."""
    ends = bytes([10, 13, 37, 100 + who, 10, 13, 37, 10])
    ethernet = b"\x02\x00\x00\x00\x00\x0a\x02\x00\x00\x00\x00" + bytes([100 + who]) + b"\x08\x00"
    words = struct.unpack(">10H", struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0) + ends)
    total = sum(words)
    checksum = (
        ~(total + (total >> 16)) & 0xFFFF
    )  # a bridge may look at it (RFC 791; two carries are not to be had here)
    ip = struct.pack(">10H", *words[:5], checksum, *words[6:])
    tcp = struct.pack(">HHIIBBHHH", 40_000 + who, PORT, 1000 + seq, 1, 0x50, 0x18, 65535, 0, 0)
    return ethernet + ip + tcp + data


def read_by_lab(path: Path) -> int:
    """Every message, taken apart."""
    listener = Listener(PORT)
    return sum(len(listener.hear(frame.data)) for frame in frames(path))


def read_by_sniffer(path: Path) -> int:
    """The program that a person would start."""
    return _lines(sys.executable, "-m", "attacks.sniffer", "--stage", "1", "--read", str(path), "--as", "jsonl")


def read_by_tshark(path: Path) -> int:
    """Its fastest way to what the messages are made of."""
    fields = (word for field in FIELDS for word in ("-e", field))
    return _lines("tshark", "-n", "-r", str(path), "-T", "fields", *fields)


def _lines(*command: str) -> int:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return done.stdout.count(b"\n")


def read_by_scapy(path: Path) -> int:
    """The lab's layers, found by scapy's own reassembly."""
    from scapy.packet import Packet
    from scapy.sendrecv import sniff
    from scapy.sessions import TCPSession

    from attacks.dissect import ChatStream, bind

    bind(PORT)
    found = 0

    def count(packet: Packet) -> None:
        nonlocal found
        found += len(packet[ChatStream].messages) if ChatStream in packet else 0

    sniff(offline=str(path), session=TCPSession, store=False, prn=count)
    return found


def measure(packets: int, rounds: int, *, scapy: bool = True) -> dict[str, float]:
    """Microseconds a packet, for each reader that is there; scapy, which takes its time, may be left out."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        whole, part = Path(folder) / "whole.pcap", Path(folder) / "part.pcap"
        share = max(packets // SCAPY_SHARE, 1)
        write_capture(whole, packets)
        write_capture(part, share)
        readers: dict[str, tuple[Callable[[Path], int], Path, int]] = {
            "lab": (read_by_lab, whole, packets),
            "sniffer": (read_by_sniffer, whole, packets),
        }
        if scapy:
            readers["scapy"] = (read_by_scapy, part, share)
        if shutil.which("tshark"):
            readers["tshark"] = (read_by_tshark, whole, packets)
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        for name in {"lab", "scapy"} & set(readers):
            readers[name][0](part)  # what is imported once is not what is measured
        for _ in range(rounds):
            for name, (read, path, expected) in readers.items():
                start = time.perf_counter()
                found = read(path)
                seconds[name].append((time.perf_counter() - start) / expected)
                if found != expected:
                    raise SystemExit(
                        f"{name} found {found} of {expected} messages: what it measured counts for nothing."
                    )
    return {name: 1e6 * statistics.median(times) for name, times in seconds.items()}


def ratios(micros: dict[str, float]) -> dict[str, float]:
    """How many times as fast as another one is: the lab's reader as tshark and scapy, its program as tshark."""
    pairs = [("tshark", "lab"), ("tshark", "sniffer"), ("scapy", "lab")]
    return {f"{fast} to {slow}": micros[slow] / micros[fast] for slow, fast in pairs if slow in micros}


def result(say: Tell, packets: int = 200_000, rounds: int = 3) -> Result:
    """The rows for the page."""
    say(f"{packets} packets, read {rounds} times by each.")
    micros = measure(packets, rounds)
    made = Result(limits=f"{packets} chat packets of one message each; scapy reads {packets // SCAPY_SHARE} of them.")
    per_second = {name: 1e6 / value for name, value in micros.items()}
    for ours, peer, said, target in COMPARED:
        if peer not in micros:
            made.left_out.append(f"{said}: {peer} is not here (sudo apt install {peer})")
            continue
        ahead, behind = per_second[ours], per_second[peer]
        row = Row(name=said, ours=ahead, unit="packets/s", against=AGAINST[peer], theirs=behind, target=target)
        made.rows.append(row)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The lab's reader of captures, against tshark and scapy.")
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    micros = measure(options.packets, options.rounds)
    if options.json:
        print(json.dumps({"packets": options.packets, "rounds": options.rounds, "micros": micros, **ratios(micros)}))
        return
    print(f"{options.packets} chat packets, medians of {options.rounds} rounds; microseconds a packet")
    for name, value in micros.items():
        print(f"{name:>10}{value:>10.2f}")
    for name, value in ratios(micros).items():
        print(f"{name}: {value:.1f} times as fast")
    if "tshark" not in micros:
        print("tshark is not here: sudo apt install tshark")


if __name__ == "__main__":
    main()
