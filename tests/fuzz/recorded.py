"""Traffic as it was recorded: whole conversations in frames, made from the stages' frozen transcripts.

No capture of a real run lies in the repository, so frames are made as the relay of the loopback network makes them.
"""

from functools import cache
from typing import Final

from common.frames import datagram, frame, segment
from common.session import Address
from tests.attacks.test_pcap import card, packet, section

SERVER: Final[Address] = ("10.13.37.10", 5001)
ALICE: Final[Address] = ("10.13.37.21", 40001)
BOB: Final[Address] = ("10.13.37.22", 40002)
MACS: Final = ("02:00:00:00:00:01", "02:00:00:00:00:02")

SAID: Final = (
    (b'{"type":"join","name":"alice","udp_port":4000}\n', b'{"type":"roster","members":[]}\n'),
    (b'{"type":"say","from":"alice","text":"one"}\n', b""),
    (b'{"type":"say","from":"alice","text":"two"}\n', b'{"type":"say","from":"bob","text":"hi"}\n'),
    (b'{"type":"say","from":"alice","text":"three"}\n', b'{"type":"left","name":"bob"}\n'),
)
WHISPERS: Final = (
    b'{"type":"whisper","from":"alice","to":"bob","text":"whisper-0123456789ab"}',
    b'{"type":"whisper","from":"bob","to":"alice","text":"I see"}',
)


@cache
def frames() -> list[bytes]:
    """One connection of Alice's from SYN to FIN, and two whispers."""
    there, back = (ALICE, SERVER), (SERVER, ALICE)
    found = [
        segment(there, "S", 1000, 0, b""),
        segment(back, "SA", 5000, 1001, b""),
        segment(there, "A", 1001, 5001, b""),
    ]
    seq, ack = 1001, 5001
    for request, answer in SAID:
        found.append(segment(there, "PA", seq, ack, request))
        seq += len(request)
        found.append(segment(back, "PA" if answer else "A", ack, seq, answer))
        ack += len(answer)
    found += [datagram((("10.13.37.21", 4000), ("10.13.37.22", 4000)), WHISPERS[0])]
    found += [datagram((("10.13.37.22", 4000), ("10.13.37.21", 4000)), WHISPERS[1])]
    found += [segment(there, "FA", seq, ack, b""), segment(back, "FA", ack, seq + 1, b"")]
    return framed(found)


def framed(packets: list[bytes]) -> list[bytes]:
    """Packets on their way between two cards."""
    return [frame(*MACS, each) for each in packets]


def as_capture(heard: list[bytes]) -> bytes:
    """Frames as a pcapng file, a second apart."""
    return section("<") + card("<") + b"".join(packet("<", each, 1_000_000 * n) for n, each in enumerate(heard))


@cache
def capture() -> bytes:
    """The recorded conversation as a pcapng file."""
    return as_capture(frames())
