"""Listening: Eve sits on the same network and reads along.

python -m attacks.sniffer --stage 1                  live, in the lab
python -m attacks.sniffer --stage 1 --lan switch --via arp_spoofing
python -m attacks.sniffer --stage 1 --read FILE      in a capture, pcap or pcapng
    … --where type=say --where from=alice            only what Alice says
    … --follow alice,server                          one conversation; `--follow 3` is that marked #3
    … --bpf 'tcp port 5001' --as jsonl               tcpdump's filters; JSON lines; `--as hex` shows the bytes
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attacks import Claim, Foothold, Goal, attack
from attacks.pcap import Frame, frames
from attacks.position import position
from attacks.tap import tapped
from common.errors import LabError
from common.lan import LanHost

if TYPE_CHECKING:
    from attacks.listener import Heard, Listener


@attack(
    position="tap",
    goals=(
        Goal(
            "room",
            "read a room message",
            wins="read-room",
            expected="BBHHH",
            ablation={3: "cipher=off", 4: "transport=tcp cipher=off", 5: "transport=tcp sealing=off"},
            what_ifs={
                3: {
                    "cipher=chacha20-poly1305": "H",
                    "cipher=aes-256-ctr": "H",
                    "cipher=aes-256-ecb": "H",
                    "cipher=off": "B",
                }
            },
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
        if foothold.via and isinstance(foothold.host, LanHost):  # on a switch she hears nothing before that
            await stack.enter_async_context(position(foothold, foothold.host, foothold.via))
        stack.enter_context(tapped(foothold, lambda heard: claim.read.extend(heard.words)))
        await foothold.until("over")
    return claim


def heard_in(
    path: Path, listener: "Listener", wanted: Callable[[bytes], bool] | None = None
) -> "Iterator[tuple[Frame, Heard]]":
    """Every message in a pcap or pcapng file, with the frame that completes it, as soon as that is read.

    wanted: which frames are listened to at all, as `attacks.bpf` makes it. Raises LabError where the file is no
    capture or is damaged; what was heard before that comes first.
    """
    frame, wrong = None, None
    try:
        for frame in frames(path):
            if wanted is None or wanted(frame.data):
                for heard in listener.hear(frame.data):
                    yield frame, heard
    except LabError as error:
        wrong = error
    if frame is not None:
        for heard in listener.end():
            yield frame, heard
    if wrong is not None:
        raise wrong


if __name__ == "__main__":
    from lab.attack_main import main

    main("sniffer")
