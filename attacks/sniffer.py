"""Listening: Eve sits on the same network and reads along.

python -m attacks.sniffer --stage 1                  live, in the lab
python -m attacks.sniffer --stage 1 --lan switch --via arp_spoofing
python -m attacks.sniffer --stage 1 --read FILE      in a capture
"""

import contextlib
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attacks import Claim, Foothold, Goal, attack
from attacks.position import position
from attacks.tap import tapped
from common.errors import LabError
from common.lan import LanHost

if TYPE_CHECKING:
    from attacks.dissect import Heard


@attack(
    position="tap",
    goals=(
        Goal(
            "room",
            "read a room message",
            wins="read-room",
            expected="BBHHH",
            ablation={3: "cipher=off", 4: "transport=tcp cipher=off", 5: "transport=tcp sealing=off"},
            remedy="lan=switch",
        ),
        Goal(
            "passwords",
            "learn a password",
            wins="read-password",
            expected="-BBHH",
            absent="nobody has a password here",
            ablation={4: "transport=tcp", 5: "transport=tcp"},
            remedy="lan=switch",
        ),
        Goal(
            "whispers",
            "read a whisper",
            wins="read-whisper",
            expected="BBHHH",
            ablation={3: "cipher=off", 4: "cipher=off", 5: "sealing=off"},
            remedy="lan=switch",
        ),
    ),
    via=("arp_spoofing",),
)
async def sniffer(foothold: Foothold, goal: Goal) -> Claim:
    """Eve does nothing at all. She has joined the same open Wi-Fi, where every frame reaches every card, and lets her
    network card pass her what is meant for others. She puts the TCP streams together and reads the lines.
    """
    claim = Claim(did="listened")
    async with contextlib.AsyncExitStack() as stack:
        if foothold.via and isinstance(
            foothold.host, LanHost
        ):  # on a switch she hears nothing before she is on the path
            await stack.enter_async_context(position(foothold, foothold.host, foothold.via))
        stack.enter_context(tapped(foothold, lambda heard: claim.read.extend(heard.words)))
        await foothold.until("over")
    return claim


def heard_in(path: Path, port: int) -> "Iterator[tuple[int, Heard]]":
    """Every message in a pcap or pcapng file, with the number of the frame that completes it.

    Raises LabError where the file is no capture.
    """
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    from attacks.dissect import Listener

    logging.getLogger("scapy").setLevel(logging.CRITICAL)  # what is wrong with a file is said below, in a sentence
    listener = Listener(port)
    try:
        with path.open("rb") as file, RawPcapReader(file) as frames:  # type: ignore[arg-type] # takes open files too
            for number, (frame, _) in enumerate(frames, 1):
                for heard in listener.hear(frame):
                    yield number, heard
    except OSError as error:
        raise LabError(f"Cannot read {path} ({error.strerror}); give a capture with --read FILE.") from None
    except (Scapy_Exception, EOFError, ValueError, struct.error) as error:
        raise LabError(f"{path} is no capture ({error}); give a pcap or pcapng file.") from None


if __name__ == "__main__":
    from lab.attack_main import main

    main("sniffer")
