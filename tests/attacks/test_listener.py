"""Frames to messages: every message is heard once and in order, however its bytes came."""

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.listener import HELD_BYTES, HELD_SEGMENTS, WAYS, Heard, Listener
from common.limits import LINE_BYTES
from tests.captures import ACK, ALICE, BOB, FIN, SERVER, SYN, ip, pcap, say, tcp, udp

HELLO = say("hello")
WHISPER = HELLO.replace(b'"say"', b'"whisper"').replace(b'"text"', b'"to":"bob","text"').strip()


def heard(*frames: bytes, listener: Listener | None = None) -> list[str]:
    """The texts of the messages in these frames, and of what is left at the end."""
    listener = listener or Listener(5001)
    found: list[Heard] = [message for frame in frames for message in listener.hear(frame)]
    return [message.fields["text"] for message in [*found, *listener.end()]]


def test_segment_that_is_sent_again_is_heard_once() -> None:
    first, second = tcp(HELLO, 1000), tcp(HELLO, 1000 + len(HELLO))
    listener = Listener(5001)
    assert heard(first, first, second, first, second, listener=listener) == ["hello", "hello"]
    assert listener.noticed.repeated == 3


@pytest.mark.parametrize("cut", [1, 10, len(HELLO) - 1])
def test_message_in_two_segments_is_heard_once_though_each_is_sent_twice(cut: int) -> None:
    first, second = tcp(HELLO[:cut], 1000), tcp(HELLO[cut:], 1000 + cut)
    assert heard(first, first, second, second) == ["hello"]


def test_segment_without_data_takes_nothing_away() -> None:
    assert heard(tcp(b"", 1000), tcp(HELLO, 1000), tcp(b"", 1000), tcp(b"", 1000, flags=FIN | ACK)) == ["hello"]


def test_segment_that_repeats_the_last_one_and_goes_on_is_cut() -> None:
    assert heard(tcp(HELLO, 1000), tcp(HELLO + say("more"), 1000)) == ["hello", "more"]


def test_of_two_segments_that_disagree_the_first_is_believed() -> None:
    assert heard(tcp(HELLO, 1000), tcp(say("HELLO") + say("more"), 1000)) == ["hello", "more"]


def test_sequence_numbers_go_round() -> None:
    start = 2**32 - 20
    frames = [tcp(b"", start - 1, flags=SYN), tcp(HELLO[:30], start), tcp(HELLO[30:], start + 30)]
    assert heard(*frames) == ["hello"]
    assert heard(frames[0], frames[2], frames[1], frames[2]) == ["hello"]


def test_what_waits_may_reach_across_the_end_of_the_sequence_numbers() -> None:
    start = 2**32 - len(HELLO) - 10
    frames = [tcp(HELLO, start), tcp(HELLO, start + len(HELLO)), tcp(HELLO, start + 2 * len(HELLO))]
    assert heard(tcp(b"", start - 1, flags=SYN), frames[1], frames[0], frames[2]) == ["hello"] * 3


def test_syn_may_carry_data_and_come_again() -> None:
    carrying = tcp(HELLO, 999, flags=SYN)
    assert heard(carrying, tcp(say("more"), 1000 + len(HELLO))) == ["hello", "more"]
    assert heard(carrying, tcp(HELLO, 1000 + len(HELLO)), carrying) == ["hello", "hello"]


def test_of_two_segments_that_wait_for_the_same_the_longer_is_kept() -> None:
    long, short = tcp(HELLO, 1000 + len(HELLO)), tcp(HELLO[:9], 1000 + len(HELLO))
    assert heard(tcp(b"", 999, flags=SYN), long, short, tcp(HELLO, 1000)) == ["hello", "hello"]


def test_what_comes_too_early_waits() -> None:
    lines = [say(str(i)) for i in range(5)]
    segments = [tcp(line, 1000 + i * len(line)) for i, line in enumerate(lines)]
    order = [0, 4, 2, 3, 1]
    listener = Listener(5001)
    counts = [len(listener.hear(segments[i])) for i in order]
    assert counts == [1, 0, 0, 0, 4]
    assert heard(*(segments[i] for i in order)) == ["0", "1", "2", "3", "4"]


def test_what_is_missing_is_waited_for_within_bounds_and_said() -> None:
    line = say("line")
    listener = Listener(5001)
    late = [tcp(line, 1000 + (i + 2) * len(line)) for i in range(HELD_SEGMENTS + 1)]
    waiting = [len(listener.hear(frame)) for frame in [tcp(line, 1000), *late]]
    assert waiting == [1, *[0] * HELD_SEGMENTS, HELD_SEGMENTS + 1]
    assert listener.noticed.missing == len(line)
    large = Listener(5001)
    pieces = [large.hear(tcp(b"x" * 1400 + b"\n", 1000 + i * 1401)) for i in (0, *range(2, HELD_BYTES // 1401 + 4))]
    assert large.noticed.missing == 1401
    assert not any(pieces)


def test_what_waits_at_the_end_is_heard_then_and_the_torn_line_is_not() -> None:
    listener, cut = Listener(5001), 12
    assert not listener.hear(tcp(HELLO[:cut], 1000))
    assert not listener.hear(tcp(HELLO[cut + 5 :] + HELLO, 1000 + cut + 5))
    assert [message.fields["text"] for message in listener.end()] == ["hello"]
    assert listener.noticed.missing == 5
    assert listener.noticed.unread == len(HELLO) - 5


def test_port_that_is_used_again_begins_a_new_stream() -> None:
    first = [tcp(b"", 999, flags=SYN), tcp(HELLO, 1000)]
    again = [tcp(b"", 77, flags=SYN), tcp(b"", 77, flags=SYN), tcp(say("again"), 78)]
    listener = Listener(5001)
    assert heard(*first, *again, listener=listener) == ["hello", "again"]


def test_conversations_are_numbered_as_they_begin_both_directions_alike() -> None:
    listener = Listener(5001)
    there: dict[str, Any] = {"source": (ALICE, 4000)}
    back: dict[str, Any] = {"source": (SERVER, 5001), "target": (ALICE, 4000)}
    frames = [
        tcp(HELLO, 1000, **there),
        udp(WHISPER),
        tcp(HELLO, 1000, **back),
        udp(WHISPER, source=(BOB, 9), target=(ALICE, 7)),
        tcp(b"", 9, flags=SYN, **there),
        tcp(b"", 500, flags=SYN | ACK, **back),
        tcp(HELLO, 501, **back),
        tcp(HELLO, 10, **there),
    ]
    assert [said.conversation for frame in frames for said in listener.hear(frame)] == [1, 2, 1, 2, 3, 3]


def test_vlan_tags_and_options_are_read_over() -> None:
    plain = tcp(HELLO, 1000)
    assert heard(tcp(HELLO, 1000, tags=[7])) == ["hello"]
    assert heard(tcp(HELLO, 1000, tags=[7, 8], options=b"\1" * 12)) == ["hello"]
    routed = ip(ALICE, SERVER, 6, plain[34:], options=b"\1" * 8)
    assert heard(routed, plain) == ["hello"]
    assert heard(routed + b"padding of the card") == ["hello"]


def test_fragments_cut_frames_and_other_ports_are_counted() -> None:
    listener = Listener(5001)
    whole = tcp(HELLO, 1000)
    fragments = [ip(ALICE, SERVER, 6, whole[34:58], part=0x2000), ip(ALICE, SERVER, 6, whole[58:], part=0x0003)]
    for frame in [*fragments, whole[:-3], tcp(HELLO, 1, target=(SERVER, 5003)), tcp(HELLO, 1, target=(SERVER, 80))]:
        assert not listener.hear(frame)
    assert (listener.noticed.fragments, listener.noticed.cut) == (2, 1)
    assert listener.noticed.ports == {4000: 2, 5003: 1, 80: 1}
    assert not listener.met


def test_whisper_is_heard_at_any_port_and_other_datagrams_are_not() -> None:
    listener = Listener(5001)
    (said,) = listener.hear(udp(WHISPER, target=(BOB, 40_000)))
    assert (said.transport, said.source, said.target) == ("UDP", (ALICE, 7), (BOB, 40_000))
    for data in (b"", b"{}", b'{"type":"hello"}', b'{"type":["say"]}', b"[]", b"\xff\xfe", b"[" * 1000, HELLO[:-5]):
        assert not listener.hear(udp(data))


def test_json_that_is_nearly_right_is_heard() -> None:
    assert heard(udp(b'{"type":"whisper","text":"\\ud800","n":NaN}')) == ["\ud800"]


@pytest.mark.parametrize("ciphertext", ["5", "null", "[]", '"a"', '"\u00e4"', '"\\ud800"'])
def test_bytes_that_are_no_base64_say_nothing(ciphertext: str) -> None:
    (message,) = Listener(5001).hear(tcp(f'{{"type":"say","ciphertext":{ciphertext}}}\n'.encode(), 1))
    assert message.words[-1] == ""


def test_line_longer_than_any_is_let_go() -> None:
    listener = Listener(5001)
    long = b"x" * (LINE_BYTES + 1)
    pieces = [tcp(long[at : at + 1400], 1000 + at) for at in range(0, len(long), 1400)]
    assert heard(*pieces, tcp(b"\n" + HELLO, 1000 + len(long)), listener=listener) == ["hello"]
    assert listener.noticed.unread == len(long)


def test_directions_that_are_remembered_are_bounded() -> None:
    listener = Listener(5001)
    for number in range(3 * WAYS):
        listener.hear(tcp(b"half a line", 1, source=(f"10.0.{number >> 8}.{number & 255}", 4000)))
    assert len(listener._ways) == WAYS
    assert listener.noticed.unread == 2 * WAYS * len(b"half a line")


@given(
    texts=st.lists(st.text("abc\N{SNOWMAN}", max_size=60), min_size=1, max_size=8),
    start=st.integers(0, 2**32 - 1) | st.integers(2**32 - 200, 2**32 - 1),
    data=st.data(),
)
def test_however_a_stream_is_cut_repeated_and_shuffled_it_is_heard_once_and_in_order(
    texts: list[str], start: int, data: st.DataObject
) -> None:
    stream = b"".join(say(text) for text in texts)
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=20))})
    pieces = list(itertools.pairwise(cuts))
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=10))
    overlapping = data.draw(st.lists(st.tuples(st.integers(0, len(stream)), st.integers(0, 50)), max_size=5))
    pieces += [(a, min(a + length, len(stream))) for a, length in overlapping]
    shuffled = data.draw(st.permutations(pieces))
    segments = [tcp(stream[a:b], start + 1 + a) for a, b in shuffled]
    listener = Listener(5001)
    assert heard(tcp(b"", start, flags=SYN), *segments, listener=listener) == texts
    assert listener.noticed.missing == 0


@given(
    frames=st.lists(
        st.one_of(
            st.binary(max_size=100),
            st.builds(tcp, st.binary(max_size=40), st.integers(0, 60), flags=st.integers(0, 63)),
            st.builds(ip, st.just(ALICE), st.just(BOB), st.integers(0, 20), st.binary(max_size=40)),
        ),
        max_size=12,
    ),
    holes=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 60), st.integers(0, 255)), max_size=6),
)
def test_any_frames_at_all_are_heard_without_an_error(frames: list[bytes], holes: list[tuple[int, int, int]]) -> None:
    changed = [bytearray(frame) for frame in frames]
    for which, at, value in holes:
        if which < len(changed) and at < len(changed[which]):
            changed[which][at] = value
    listener = Listener(5001)
    assert all(message.fields["type"] for frame in changed for message in listener.hear(bytes(frame)))
    assert not list(listener.end())


def test_scapy_finds_the_same_messages_in_its_own_way(tmp_path: Path) -> None:
    from scapy.sendrecv import sniff
    from scapy.sessions import TCPSession

    from attacks.dissect import ChatStream, bind

    bind(5001)
    lines = [say("one"), b'{"type":"join","name":"alice","udp_port":9}\n', b'{"type":"left","name":"bob"}\n']
    stream = b"".join(lines)
    frames = [tcp(stream[at : at + 25], 1000 + at) for at in range(0, len(stream), 25)]
    (file := tmp_path / "file").write_bytes(pcap(*frames))
    layers = [
        m for p in sniff(offline=str(file), session=TCPSession) if ChatStream in p for m in p[ChatStream].messages
    ]
    listener = Listener(5001)
    ours = [said.fields for frame in frames for said in listener.hear(frame)]
    assert [json.loads(bytes(layer)) for layer in layers] == ours == [json.loads(line) for line in lines]


def test_header_lengths_that_lie_give_no_message() -> None:
    frame = bytearray(tcp(HELLO, 1000))
    for offset in (0x00, 0x10, 0xF0):
        frame[46] = offset
        assert heard(bytes(frame)) == []
    struct.pack_into(">H", frame, 16, 19)
    assert heard(bytes(frame)) == []
