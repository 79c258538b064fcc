"""Captures are read as they were written, and what is wrong with a file is one sentence."""

import itertools
import os
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacks.pcap import MAX_FRAME, Frame, frames
from common.errors import LabError

ORDERS = ["<", ">"]


def pcap(order: str, *packets: tuple[int, int, bytes], magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    """A pcap file of these packets: seconds, fraction, frame."""
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(order + "IIII", s, f, len(d), len(d)) + d for s, f, d in packets)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(order: str, code: int, value: bytes) -> bytes:
    """An option of a block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def card(order: str, options: bytes = b"", link: int = 1, snap: int = 0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def packet(order: str, data: bytes, ticks: int = 0, options: bytes = b"", index: int = 0) -> bytes:
    head = struct.pack(order + "5I", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def simple(order: str, data: bytes, size: int) -> bytes:
    return block(order, 3, struct.pack(order + "I", size) + data)


def read(folder: Path, content: bytes) -> list[Frame]:
    (folder / "file").write_bytes(content)
    return list(frames(folder / "file"))


def read_until_wrong(folder: Path, content: bytes) -> tuple[list[bytes], str]:
    """The frames that came, and the sentence about the rest."""
    (folder / "file").write_bytes(content)
    came: list[bytes] = []
    with pytest.raises(LabError) as told:
        came.extend(frame.data for frame in frames(folder / "file"))
    return came, str(told.value)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("magic", "fraction"), [(0xA1B2C3D4, 250_000), (0xA1B23C4D, 250_000_000)])
def test_pcap_is_read_in_both_byte_orders_and_units(order: str, magic: int, fraction: int, tmp_path: Path) -> None:
    content = pcap(order, (1000, fraction, b"one"), (1001, 0, b""), magic=magic)
    assert read(tmp_path, content) == [Frame(1, 1000.25, "", "", b"one"), Frame(2, 1001.0, "", "", b"")]


@pytest.mark.parametrize("order", ORDERS)
def test_pcapng_tells_interface_time_and_comments(order: str, tmp_path: Path) -> None:
    nano = option(order, 2, b"eth0") + option(order, 9, b"\x09") + option(order, 14, struct.pack(order + "q", 1000))
    binary = option(order, 9, b"\x82") + option(order, 0, b"")
    note = option(order, 1, b"first") + option(order, 1, "zweitens: ö".encode()) + option(order, 0, b"")
    content = (
        section(order)
        + card(order, nano)
        + card(order, binary)
        + card(order)
        + packet(order, b"odd", 500_000_000, note)
        + packet(order, b"even", 5 << 32, option(order, 0, b""), index=1)
        + packet(order, b"", 1_500_000, index=2)
    )
    assert read(tmp_path, content) == [
        Frame(1, 1000.5, "eth0", "first\nzweitens: ö", b"odd"),
        Frame(2, (5 << 32) / 4, "#1", "", b"even"),
        Frame(3, 1.5, "#2", "", b""),
    ]


@pytest.mark.parametrize("order", ORDERS)
def test_simple_packets_are_cut_where_the_interface_cut_them(order: str, tmp_path: Path) -> None:
    content = section(order) + card(order, snap=4) + simple(order, b"12", 2) + simple(order, b"1234", 900)
    assert [frame.data for frame in read(tmp_path, content)] == [b"12", b"1234"]


def test_secrets_and_unknown_blocks_are_passed_over_and_each_section_has_its_own_order(tmp_path: Path) -> None:
    secrets = block("<", 0x0A, struct.pack("<II", 0x544C534B, 3) + b"abc")
    content = section("<") + card("<") + secrets + packet("<", b"a") + block("<", 0xBAD, b"") + section(">")
    content += card(">", option(">", 2, b"lo")) + packet(">", b"b")
    assert [(f.number, f.interface, f.data) for f in read(tmp_path, content)] == [(1, "#0", b"a"), (2, "lo", b"b")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 999_999), st.binary(max_size=200)), max_size=8),
    order=st.sampled_from(ORDERS),
    comment=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)
def test_whatever_is_written_is_read(
    data: list[tuple[int, int, bytes]], order: str, comment: str, tmp_path: Path
) -> None:
    assert [frame.data for frame in read(tmp_path, pcap(order, *data))] == [d for _, _, d in data]
    note = option(order, 1, comment.encode()) + option(order, 0, b"")
    content = section(order) + card(order)
    content += b"".join(packet(order, d, s * 1_000_000 + f, note) for s, f, d in data)
    came = read(tmp_path, content)
    assert [(frame.data, frame.comment) for frame in came] == [(d, comment) for _, _, d in data]
    assert [frame.time for frame in came] == pytest.approx([s + f / 1e6 for s, f, _ in data], abs=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_what_stands_before_a_cut_is_delivered_wherever_it_is_cut(order: str, kind: str, tmp_path: Path) -> None:
    parts = [b"first", b"second", b"third!!!"]
    if kind == "pcap":
        pieces = [pcap(order), *(pcap(order, (1, 2, d))[24:] for d in parts)]
    else:
        pieces = [section(order) + card(order), *(packet(order, d) for d in parts)]
    ends = list(itertools.accumulate(map(len, pieces)))
    for cut in range(ends[0] + 1, ends[-1]):
        if cut in ends:
            continue
        came, sentence = read_until_wrong(tmp_path, b"".join(pieces)[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert came == parts[:whole]
        assert f"is cut off behind frame {whole};" in sentence


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    start=st.sampled_from(
        [b"", pcap("<"), pcap(">"), section("<") + card("<"), section(">") + card(">"), b"\x0a\x0d\x0d\x0a"]
    ),
    rest=st.binary(max_size=300),
    holes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_any_bytes_are_frames_or_one_sentence(
    start: bytes, rest: bytes, holes: list[tuple[int, int]], tmp_path: Path
) -> None:
    order = "<" if b"\x4d\x3c\x2b\x1a" in start else ">"
    content = bytearray(start + (packet(order, b"x" * 20) if b"\x0a\x0d" in start else b"") + rest)
    for at, value in holes:
        if at < len(content):
            content[at] = value
    (tmp_path / "file").write_bytes(content)
    came: list[Frame] = []
    sentences: list[str] = []
    try:
        came.extend(frames(tmp_path / "file"))
    except LabError as error:
        sentences = str(error).splitlines()
    assert len(sentences) <= 1
    assert sum(len(frame.data) for frame in came) <= len(content)


HOSTILE = {
    "a frame of 4 GB in pcap": pcap("<") + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 0xFFFFFFFF),
    "a block of 4 GB": section("<") + struct.pack("<III", 6, 0xFFFFFFFC, 0),
    "a block of no length": section("<") + struct.pack("<III", 6, 0, 0),
    "a block that is not whole words": section("<") + struct.pack("<II", 6, 33) + bytes(25),
    "a block of two lengths": section("<") + card("<")[:-4] + struct.pack("<I", 8),
    "a frame longer than its block": section("<") + card("<") + block("<", 6, struct.pack("<5I", 0, 0, 0, 900, 900)),
    "a packet block too short to be one": section("<") + card("<") + block("<", 6, b"1234"),
    "a packet of an interface that is not there": section("<") + packet("<", b"data"),
    "a simple packet without an interface": section("<") + simple("<", b"data", 4),
    "a simple packet longer than its block": section("<") + card("<") + simple("<", b"data", MAX_FRAME),
    "an interface of two bytes": section("<") + block("<", 1, b"\1\0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_length_is_a_sentence(name: str, tmp_path: Path) -> None:
    came, sentence = read_until_wrong(tmp_path, HOSTILE[name])
    assert came == []
    assert "is damaged behind frame 0 (" in sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no capture (it is empty); give a pcap or pcapng file."),
        (b"Dear Alice,\n" * 9, "is no capture (it begins as none does)"),
        (b"\x1f\x8b\x08" + bytes(40), "is no capture (it is compressed: unpack it first)"),
        (pcap("<")[:20], "is no capture (its header is cut short)"),
        (section("<")[:8] + b"????" + section("<")[12:], "is no capture (a section's header is neither"),
        (pcap("<", link=113), "link type 113 (Linux cooked, as `-i any` makes it); capture on an Ethernet"),
        (section("<") + card("<", link=101) + packet("<", b"x"), "link type 101 (raw IP)"),
        (section("<") + card("<", link=101) + simple("<", b"x", 1), "link type 101 (raw IP)"),
        (section("<") + card("<") + block("<", 2, bytes(24)), "packet blocks of a kind given up long ago"),
    ],
)
def test_file_that_cannot_be_read_is_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    assert sentence in read_until_wrong(tmp_path, content)[1]


def test_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^Cannot read .*nothing \(No such file or directory\); give a capture"):
        next(frames(tmp_path / "nothing"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file, one = tmp_path / "large.pcap", pcap("<", (1, 2, bytes(1484)))[24:]
    with file.open("wb") as out:
        out.write(pcap("<"))
        for _ in range(40):
            out.write(one * 700)  # 42 MB in all
    tracemalloc.start()
    try:
        assert sum(1 for _ in frames(file)) == 28_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_first_frames_come_before_the_end_of_the_file(tmp_path: Path) -> None:
    pipe, seen = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as out:
            out.write(pcap("<", (1, 2, b"first")))
            assert seen.wait(10)
            out.write(pcap("<", (1, 2, b"second"))[24:])

    writer = threading.Thread(target=write)
    writer.start()
    came: Iterator[Frame] = frames(pipe)
    assert next(came).data == b"first"
    seen.set()
    assert next(came).data == b"second"
    writer.join()
