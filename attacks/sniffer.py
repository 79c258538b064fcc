"""Listening: Eve sits on the same network and reads along.

    python -m attacks.sniffer --stage 1                  live, in the lab
    python -m attacks.sniffer --stage 1 --read FILE      in a capture
"""

import asyncio
from pathlib import Path

from attacks import Claim, Foothold, Goal, attack
from common.errors import LabError


@attack(
    position="tap",
    goals=(
        Goal("room", "read a room message", wins="read-room", expected="B"),
        Goal(
            "passwords", "learn a password", wins="read-password", expected="-", absent="nobody has a password here"
        ),
        Goal("whispers", "read a whisper", wins="read-whisper", expected="B"),
    ),
)
async def sniffer(foothold: Foothold, goal: Goal) -> Claim:
    """Eve does nothing at all. She has joined the same open Wi-Fi, where every frame reaches every card, and lets her
    network card pass her what is meant for others. She puts the TCP streams together and reads the lines.
    """
    from attacks.dissect import Listener

    claim = Claim(did="listened")
    listener = Listener(foothold.server[1])
    loop = asyncio.get_running_loop()
    with foothold.host.packet_socket() as card:

        def hear() -> None:
            try:
                frame = card.recv(1 << 16)
            except BlockingIOError:
                return
            for heard in listener.hear(frame):
                foothold.note(f"{heard.transport} {heard.source[0]} → {heard.target[0]}  {heard.summary}")
                claim.read.extend(heard.words)

        loop.add_reader(card, hear)
        try:
            await foothold.until("over")
        finally:
            loop.remove_reader(card)
    return claim


def read_capture(path: Path, port: int) -> list[str]:
    """Every message in a capture file, a line each. Raises LabError where the file is no capture."""
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    from attacks.dissect import Listener

    listener = Listener(port)
    found: list[str] = []
    try:
        with RawPcapReader(str(path)) as frames:
            for number, (frame, _) in enumerate(frames, 1):
                found.extend(
                    f"frame {number:>3}  {heard.transport} {heard.source[0]} → {heard.target[0]}  {heard.summary}"
                    for heard in listener.hear(frame)
                )
    except OSError as error:
        raise LabError(f"Cannot read {path} ({error.strerror}); give a capture with --read FILE.") from None
    except (Scapy_Exception, EOFError, ValueError) as error:
        raise LabError(f"{path} is no capture ({error}); give a pcap or pcapng file.") from None
    return found


if __name__ == "__main__":
    from lab.attack_main import main

    main("sniffer")
