"""`sniffer --read`: what is printed of a capture, when, and what is said about a bad one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import captures
from lab.cli import run
from lab.reading import name_of
from tests.captures import ALICE, BOB, SERVER, ip, pcap, say, tcp, udp
from tests.programs import Program

ROOT = Path(__file__).parents[2]
READ = ["stage-1", "sniffer", "--read", "file"]
PROGRAM = [sys.executable, "-m", "attacks.sniffer", "--stage", "1", "--read"]
WHISPER = b'{"type":"whisper","from":"alice","to":"bob","text":"psst"}'
HELLO, TWO, HI = say("hello"), say("two"), say("hi", "bob")
CHAT = [
    tcp(HELLO, 1000),
    tcp(TWO, 1000 + len(HELLO)),
    tcp(HI, 1, source=(BOB, 4001)),
    udp(WHISPER),
    tcp(HI, 1, source=(SERVER, 5001), target=(ALICE, 4000)),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed at once is printed because it should be
    Path("file").write_bytes(pcap(*CHAT))


def test_text_names_frame_conversation_hosts_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(READ) == 0
    assert capsys.readouterr().out.splitlines() == [
        "frame    1  TCP #1 alice → server  say from=alice text=hello",
        "frame    2  TCP #1 alice → server  say from=alice text=two",
        "frame    3  TCP #2 bob → server  say from=bob text=hi",
        "frame    4  UDP #3 alice → bob  whisper from=alice to=bob text=psst",
        "frame    5  TCP #1 server → alice  say from=bob text=hi",
        "5 messages of stage 1 (port 5001) in file.",
    ]


def test_json_lines_have_everything_and_nothing_else_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*READ, "--as", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 5
    assert rows[3] == {
        "frame": 4,
        "time": 3.0,
        "interface": "",
        "comment": "",
        "conversation": 3,
        "transport": "UDP",
        "from": [ALICE, 7],
        "to": [BOB, 9],
        "message": {"type": "whisper", "from": "alice", "to": "bob", "text": "psst"},
    }


def test_hex_shows_the_bytes_of_the_frame(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*READ, "--as", "hex", "--count", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()[:-2]
    dump = bytes.fromhex("".join(line[8:55] for line in lines[1:]))
    assert lines[0].startswith("frame    1 ")
    assert dump == CHAT[0]
    assert lines[1].startswith("000000  02 00 00 00 00 0a 02 00 00 00 00 15 08 00 45 00  ")
    assert '"hello"' in "".join(line[57:] for line in lines[1:])


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--where", "type=whisper"], [4]),
        (["--where", "type=say", "--where", "from=bob"], [3, 5]),
        (["--where", "text=none says this"], []),
        (["--follow", "alice,server"], [1, 2, 5]),
        (["--follow", f"{BOB},server"], [3]),
        (["--follow", "3"], [4]),
        (["--follow", "1", "--where", "from=alice"], [1, 2]),
        (["--count", "2"], [1, 2]),
        (["--follow", "1", "--count", "3"], [1, 2, 5]),
    ],
)
def test_what_is_asked_for_is_shown(options: list[str], shown: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*READ, "--as", "jsonl", *options]) == 0
    assert [json.loads(line)["frame"] for line in capsys.readouterr().out.splitlines()] == shown


def test_filter_of_packets_decides_what_is_listened_to(capsys: pytest.CaptureFixture[str]) -> None:
    from attacks import bpf
    from common.errors import LabError

    try:
        bpf._libpcap()
    except LabError:
        pytest.skip("needs libpcap: sudo apt install libpcap0.8")
    assert run([*READ, "--bpf", f"tcp and host {BOB}"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("frame    3 ")
    assert run([*READ, "--bpf", "port 9999"]) == 0
    assert capsys.readouterr().out == "0 messages of stage 1 (port 5001) in file.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--where", "frm=alice"], "--where is FIELD=VALUE; frm=alice is not. The fields are: "),
        (["--where", "from"], "--where is FIELD=VALUE; from is not."),
        (["--follow", "alice"], "--follow takes two hosts, as in alice,server, or a conversation's number;"),
        (["--follow", "alice,nobody"], "--follow takes two hosts"),
    ],
)
def test_condition_that_cannot_be_met_is_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*READ, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)


@pytest.mark.parametrize("option", ["--where=type=say", "--follow=1", "--bpf=tcp", "--as=hex", "--port=9"])
def test_options_for_captures_need_a_capture(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-1", "sniffer", option]) == 2
    assert "are for captures; add --read FILE." in capsys.readouterr().err


def test_capture_of_another_stage_says_of_which(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(pcap(tcp(HELLO, 1, target=(SERVER, 5003)), tcp(HELLO, 1, target=(SERVER, 80))))
    assert run(READ) == 2
    assert capsys.readouterr().err == (
        "file has nothing of stage 1 (port 5001) in it, but of stage 3; read it there: "
        'make stage-3 sniffer ARGS="--read file"\n'
    )
    assert run([*READ, "--port", "80"]) == 0
    assert "text=hello" in capsys.readouterr().out


def test_capture_without_any_chat_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for frames in ([], [b"\0" * 60], [tcp(b"GET /", 1, target=(SERVER, 80))]):
        Path("file").write_bytes(pcap(*frames))
        assert run(READ) == 2
        assert capsys.readouterr().err.startswith("There is no chat in file: nothing goes to or from port 5001,")


@pytest.mark.parametrize("style", ["text", "jsonl", "hex"])
def test_what_stands_before_the_damage_is_printed_before_the_sentence(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_bytes(pcap(*CHAT)[:-10])
    assert run([*READ, "--as", style]) == 2
    out, err = capsys.readouterr()
    assert "psst" in out
    assert err == "file is cut off behind frame 4; what stands before was read, so capture again.\n"
    assert run([*READ, "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["messages"]) == 4


def test_what_was_not_shown_is_said_beside_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    odd = [CHAT[0], ip(ALICE, SERVER, 6, bytes(20), part=0x2000), CHAT[1][:-1], tcp(b"\x16\x03\x01\n", 7777)]
    Path("file").write_bytes(pcap(CHAT[0], *odd))
    assert run(READ) == 0
    assert capsys.readouterr().err.splitlines() == [
        "Segments that came again and were left out: 1.",
        f"Bytes missing from streams, and with them the lines they were in: {7777 - 1000 - len(HELLO)}.",
        "IP fragments that were passed over: 1.",
        "Frames captured in part (capture whole ones: tcpdump -s 0): 1.",
        "Bytes to and from port 5001 that are no message that can be read here: 4.",
    ]


def test_json_lines_cannot_move_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(
        pcap(tcp(say("\x9b2J \N{RIGHT-TO-LEFT OVERRIDE} ö"), 1), udp(b'{"type":"left","name":"\\ud800"}'))
    )
    for style in ("jsonl", "text", "hex"):
        assert run([*READ, "--as", style]) == 0
        assert not set("\x9b\x1b\N{RIGHT-TO-LEFT OVERRIDE}") & set(capsys.readouterr().out)


def test_hosts_have_names_on_both_networks_and_elsewhere_addresses() -> None:
    assert [name_of(address) for address in ("10.13.37.21", "127.0.3.10", "127.1.0.99")] == [
        "alice",
        "server",
        "mallory",
    ]
    assert [name_of(address) for address in ("10.13.38.21", "127.0.0.1", "192.0.2.21", "10.13.37.5")] == [
        *("10.13.38.21", "127.0.0.1", "192.0.2.21", "10.13.37.5")
    ]


def test_messages_of_a_pipe_are_printed_as_they_come(start: Callable[..., Program], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = start(*PROGRAM, str(tmp_path / "pipe"))
    both_ends = os.open(tmp_path / "pipe", os.O_RDWR)  # opened for writing alone it would wait for a reader
    with open(both_ends, "wb", buffering=0) as pipe:
        pipe.write(pcap(CHAT[0]))
        assert "text=hello" in program.line()
        pipe.write(pcap(CHAT[1])[24:])
        assert "text=two" in program.line()
    assert program.line().startswith("2 messages")


def test_whoever_has_read_enough_ends_it_quietly(tmp_path: Path) -> None:
    captures.write_capture(tmp_path / "many", 5000)
    for command in ([*PROGRAM, "many"], [sys.executable, "-m", "lab", "flow", "many", "--first", "0"]):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(20) == 0


def test_lab_reads_chat_faster_than_tshark(needs: Callable[[str], str]) -> None:
    needs("tshark")
    ratios = captures.ratios(captures.measure(20_000, 1, scapy=False))
    assert ratios["lab to tshark"] > 5  # forty and more where nothing else runs
