"""Frames to messages: every message is heard once, however often the sender's machine sent it."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from attacks.listener import Heard, Listener

PORT = 5001
HELLO = b'{"type":"say","from":"alice","text":"hello"}\n'


def segment(data: bytes, seq: int) -> bytes:
    """A frame from Alice to the server."""
    ends = IP(src="10.13.37.21", dst="10.13.37.10") / TCP(sport=4000, dport=PORT, seq=seq, flags="PA")
    return bytes(Ether() / ends / data)


def heard(*frames: bytes) -> list[str]:
    """The texts of the messages in these frames."""
    listener = Listener(PORT)
    found: list[Heard] = [message for frame in frames for message in listener.hear(frame)]
    return [message.fields["text"] for message in found]


def test_segment_that_is_sent_again_is_heard_once() -> None:
    first, second = segment(HELLO, 1000), segment(HELLO, 1000 + len(HELLO))
    assert heard(first, first, second, first, second) == ["hello", "hello"]


@pytest.mark.parametrize("cut", [1, 10, len(HELLO) - 1])
def test_message_in_two_segments_is_heard_once_though_each_is_sent_twice(cut: int) -> None:
    first, second = segment(HELLO[:cut], 1000), segment(HELLO[cut:], 1000 + cut)
    assert heard(first, first, second, second) == ["hello"]


def test_segment_without_data_takes_nothing_away() -> None:
    assert heard(segment(b"", 1000), segment(HELLO, 1000), segment(b"", 1000)) == ["hello"]
