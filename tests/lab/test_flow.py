"""`lab flow`: who sent what to whom, as a picture."""

import contextlib
import itertools
import json
import os
import re
import sys
from pathlib import Path

import pytest

from lab.cli import run
from lab.diagram import Arrow, mermaid, text
from tests.captures import ACK, ALICE, BOB, FIN, PSH, SERVER, SYN, arp, ip, pcap, say, tcp, udp
from tests.programs import Terminal

NETWORK = os.environ.get("NETWORK") or "auto"
HELLO = say("hello")
BACK = {"source": (SERVER, 5001), "target": (ALICE, 4000)}
CONVERSATION = [
    tcp(b"", 2**32 - 1, flags=SYN),
    tcp(b"", 700, flags=SYN | ACK, ack=0, **BACK),  # type: ignore[arg-type]
    tcp(b"", 0, flags=ACK, ack=701),
    tcp(HELLO + HELLO, 0, flags=PSH | ACK, ack=701),
    udp(b"{}"),
    tcp(b"", 701, flags=FIN | ACK, ack=2 * len(HELLO), **BACK),  # type: ignore[arg-type]
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("file").write_bytes(pcap(*CONVERSATION))


def drawn(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert run(["flow", "file", *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_conversation_is_drawn_with_flags_numbers_lengths_and_messages(capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn(capsys, "--follow", "alice,server") == [
        "       alice                                              server",
        "     1   ├──────────────── SYN seq=0 len=0 ─────────────────▶│",
        "     2   │◀─────────── SYN ACK seq=0 ack=1 len=0 ────────────┤",
        "     3   ├───────────── ACK seq=1 ack=1 len=0 ──────────────▶│",
        "         │ say ×2                                            │",
        "     4   ├─────────── PSH ACK seq=1 ack=1 len=90 ───────────▶│",
        "     6   │◀─────────── FIN ACK seq=1 ack=91 len=0 ───────────┤",
        "       alice                                              server",
    ]


def test_numbers_are_shown_as_sent_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = "\n".join(drawn(capsys, "--absolute"))
    assert "SYN seq=4294967295 len=0" in lines
    assert "SYN ACK seq=700 ack=0 len=0" in lines
    assert "PSH ACK seq=0 ack=701 len=90" in lines


def test_stream_whose_beginning_is_missing_counts_from_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(pcap(tcp(b"abc", 5000, ack=9000), tcp(b"", 9000, ack=5003, flags=ACK, **BACK)))  # type: ignore[arg-type]
    assert [re.findall(r"seq=\d+ ack=\d+", line) for line in drawn(capsys)[1:-1]] == [["seq=1 ack=1"], ["seq=1 ack=4"]]


def test_third_host_and_text_longer_than_the_way_have_room_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["alice", "server", "bob"]
    between = [Arrow(1, f"h{i}", f"h{i + 1}", "roster", "PSH ACK seq=123456 ack=123456 len=1448") for i in range(6)]
    rows = list(text(between, 80))
    assert max(map(len, rows)) <= 80
    assert sum("PSH ACK seq=123456 ack=123456 len=1448" in row for row in rows) == 6
    assert sum("roster" in row for row in rows) == 6


def test_whoever_is_on_the_path_is_drawn_between(capsys: pytest.CaptureFixture[str]) -> None:
    lie = arp(2, SERVER, ALICE, card="mallory")
    taken = tcp(HELLO, 1, cards=(ALICE, "mallory"))
    passed_on = tcp(HELLO, 1, cards=("mallory", SERVER))
    Path("file").write_bytes(pcap(lie, taken, passed_on))
    assert drawn(capsys, "--mermaid")[4:] == [
        "    h0->>h1: 1: ARP 10.13.37.10 is at 02:00:00:00:00:63",
        "    h1->>h0: say<br/>2: PSH ACK seq=1 ack=1 len=45 for server",
        "    h0->>h2: 3: PSH ACK seq=1 ack=1 len=45 as alice",
    ]


def test_what_goes_to_all_belongs_to_no_other_host(capsys: pytest.CaptureFixture[str]) -> None:
    asks = b"\xff" * 6 + arp(1, ALICE, BOB, card=ALICE)[6:]
    Path("file").write_bytes(pcap(asks, udp(b"x")))
    assert drawn(capsys)[1].startswith("     1   │ ◆ to all: ARP who has 10.13.37.22? ")
    assert drawn(capsys, "--mermaid")[3] == "    Note over h0: to all: 1: ARP who has 10.13.37.22?"


def test_question_by_arp_in_anothers_name_says_whose(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(pcap(arp(1, SERVER, ALICE, card="mallory")))
    assert "ARP who has 10.13.37.21? as server" in "\n".join(drawn(capsys))


def test_tls_dns_fragments_and_strangers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        b"\x16\x03\x01\0\x10\x01",
        b"\x16\x03\x03\0\x10\x02",
        b"\x17\x03\x03\0\x10\xee",
        b"\x15\x03\x03\0\x02\x01",
    ]
    frames = [tcp(record, 1 + 6 * i, target=(SERVER, 5004)) for i, record in enumerate(records)]
    frames += [
        udp(b"query", target=("192.0.2.9", 53)),
        ip(ALICE, BOB, 1, bytes(8)),
        ip(ALICE, BOB, 17, b"", part=0x2000),
    ]
    Path("file").write_bytes(pcap(*frames, b"\0" * 60))
    lines = "\n".join(drawn(capsys, "--mermaid"))
    for name in ("TLS ClientHello<br/>1:", "TLS ServerHello<br/>2:", "TLS application data<br/>3:", "TLS alert<br/>4:"):
        assert name in lines
    assert "as 192.0.2.9" in lines
    assert "DNS<br/>5: UDP len=5" in lines
    assert "6: ICMP\n" in lines
    assert "7: UDP fragment at 0" in lines
    assert lines.endswith("%% Frames that are neither ARP nor a whole packet of IPv4 and are not drawn: 1.")


def test_diagram_is_bounded_and_says_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys, "--first", "2")
    assert lines[-1] == "Further packets that are not drawn: 4; --first 0 draws all."
    assert [line[:6].strip() for line in lines[1:-2]] == ["1", "2"]
    assert len(drawn(capsys, "--first", "0")) == len(drawn(capsys))


def test_stage_is_guessed_from_the_ports_or_given(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(pcap(tcp(HELLO, 1, target=(SERVER, 5003))))
    assert "say" in "\n".join(drawn(capsys))
    assert "say" in "\n".join(drawn(capsys, "--stage", "3"))
    assert "say" not in "\n".join(drawn(capsys, "--stage", "1"))


def test_what_stands_before_the_damage_is_drawn_and_then_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(pcap(*CONVERSATION)[:-5])
    assert run(["flow", "file"]) == 2
    out, err = capsys.readouterr()
    assert "SYN ACK" in out
    assert err.startswith("file is cut off behind frame 5;")


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", [], "file is no capture (it is empty)"),
        (pcap(), [], "There is nothing to draw in file: no packet of IPv4 or ARP."),
        (
            pcap(*CONVERSATION),
            ["--follow", "bob,carol"],
            "There is nothing to draw in file: no packet of IPv4 or ARP bet",
        ),
        (pcap(*CONVERSATION), ["--follow", "1"], "--follow takes two hosts, as in alice,server"),
        (pcap(*CONVERSATION), ["--stage", "99"], "There is no stage-99;"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(
    content: bytes, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_bytes(content)
    assert run(["flow", "file", *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(sentence)) == ("", True)


def test_mermaid_is_of_the_grammar() -> None:
    """Participants first, then messages and notes between them, nothing that would end a statement early."""
    arrows = [
        Arrow(1, "alice", "192.0.2.9", "say, joined ×3", "ACK seq=1 ack=1 len=0"),
        Arrow(2, "alice", "", "", "ARP"),
    ]
    for line in itertools.islice(mermaid(arrows), 1, None):
        assert re.fullmatch(r"    (participant h\d+ as [\w.]+|h\d+->>h\d+: [^;#\n]+|Note over h\d+: [^;#\n]+)", line)


@pytest.mark.parametrize("stage", [1, 4])
def test_capture_of_the_lab_is_drawn_whole(stage: int, capsys: pytest.CaptureFixture[str]) -> None:
    scene = ["sniffer", "--goal", "room", "--write", "own.pcapng", "--json", "--network", NETWORK]
    run([f"stage-{stage}", *scene])
    json.loads(capsys.readouterr().out)
    assert run(["flow", "own.pcapng", "--first", "0", "--follow", "alice,server"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["alice", "server"]
    seen = "\n".join(lines)
    for what in (
        "SYN seq=0",
        "SYN ACK seq=0 ack=1",
        "FIN ACK",
        *(("join", "say") if stage == 1 else ("TLS ClientHello",)),
    ):
        assert what in seen


def test_diagram_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = drawn(capsys)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.delenv("COLUMNS")
    with contextlib.closing(Terminal(sys.executable, "-m", "lab", "flow", "file")) as terminal:
        assert terminal.ends() == 0
        assert terminal.rows() == lines
