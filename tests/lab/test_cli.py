"""The command `lab`: what it answers, and with which exit status."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stages
from lab.cli import run

NETWORK = os.environ.get("NETWORK") or "auto"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are written into the current directory; here it is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_EXPECT", raising=False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stage-9", "demo"], "There is no stage-9; these stages exist: stage-1"),
        (["stage-one"], "A stage is written stage-N; stage-one is not."),
        (["stage-1"], "Say what to do with stage-1: demo, attack, server"),
        (["stage-1", "dance"], "There is no verb dance; there are: demo, attack, server"),
        (["dance"], "There is no command dance; there are: stage-1"),
        (["stage-1", "sniffer", "--goal", "fame"], "sniffer has no goal fame; it has: room, passwords, whispers."),
        (
            ["stage-1", "sniffer", "--levers", "luck=on"],
            "There is no lever luck here; these exist: runtime, framing, display, limits, lan, arp, arp_inspection",
        ),
        (["stage-1", "sniffer", "--levers", "framing=x"], "The lever framing has no setting x; it has: lines, none."),
        (["stage-1", "sniffer", "--levers", "framing"], "Levers are written name=setting; framing is not."),
        (["stage-1", "sniffer", "--network", "moon"], "NETWORK= is lan or loopback; moon is neither."),
        (["stage-1", "client"], "Say who you are: make stage-1 client NAME=alice"),
        (["stage-1", "sniffer", "--read", "no-such-file"], "Cannot read no-such-file"),
    ],
)
def test_what_cannot_be_done_is_answered_with_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("bytes_", [b"", b"This is no capture.\n" * 10, b"\x0a\x0d\x0d\x0a\xff\xff"])
def test_file_that_is_no_capture_is_one_sentence(bytes_: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(bytes_)
    assert run(["stage-1", "sniffer", "--read", "file"]) == 2
    assert re.fullmatch(r"file is no capture \(.*\); give a pcap or pcapng file\.\n", capsys.readouterr().err)


@pytest.mark.parametrize("target", ["192.0.2.1", "192.0.2.1:5001", "198.51.100.7:5001", "0.0.0.0:5001"])
@pytest.mark.parametrize("attack", ["impersonation", "spoofed_whisper", "mitm", "replay", "sniffer"])
def test_attack_refuses_a_target_outside_the_lab_and_loopback(
    attack: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stage-1", attack, "--target", target]) == 2
    assert "is outside the lab; attacks run against the lab's network or 127.0.0.0/8 only." in capsys.readouterr().err


def test_exit_status_says_broken_held_or_not_run() -> None:
    assert run(["stage-1", "spoofed_whisper", "--network", NETWORK]) == 0
    assert run(["stage-1", "merged_messages", "--network", NETWORK]) == 3
    assert run(["stage-1", "sniffer", "--goal", "passwords", "--network", NETWORK]) == 2


def test_exit_status_under_make_says_whether_the_verdict_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_EXPECT", "1")
    assert run(["stage-1", "merged_messages", "--network", NETWORK]) == 0
    assert run(["stage-1", "merged_messages", "--levers", "framing=none", "--network", NETWORK]) == 0


def test_json_is_one_object_with_the_cells_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "sniffer", "--goal", "room", "--json", "--network", NETWORK])
    printed = json.loads(capsys.readouterr().out)
    (cell,) = printed["cells"]
    assert {"attack", "goal", "case", "stage", "levers", "verdict", "told", "reason", "evidence", "seconds"} <= set(
        cell
    )
    assert (cell["attack"], cell["goal"], cell["stage"], cell["verdict"]) == ("sniffer", "room", 1, "broken")


def test_run_leaves_a_folder_with_captures_transcript_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "sniffer", "--goal", "room", "--json", "--network", NETWORK])
    printed = json.loads(capsys.readouterr().out)
    folder = Path(printed["run"])
    assert sorted(path.name for path in folder.iterdir()) == [
        "control.pcapng",
        "sniffer-room.pcapng",
        "transcript.txt",
        "verdicts.json",
    ]
    assert json.loads((folder / "verdicts.json").read_text()) == printed
    assert "say from=alice" in (folder / "transcript.txt").read_text()


def test_sniffer_reads_from_a_file_what_it_read_live(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "sniffer", "--goal", "room", "--write", "own.pcapng", "--json", "--network", NETWORK])
    seen = json.loads(capsys.readouterr().out)["cells"][0]["evidence"][0]["seen"]
    assert run(["stage-1", "sniffer", "--read", "own.pcapng"]) == 0
    assert f"say from=alice text={seen}" in capsys.readouterr().out
    assert run(["stage-1", "sniffer", "--read", "own.pcapng", "--count", "1", "--json"]) == 0
    assert [m["message"]["type"] for m in json.loads(capsys.readouterr().out)["messages"]] == ["join"]


def test_what_a_peer_said_cannot_move_the_terminal_of_whoever_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw
    from scapy.utils import wrpcap

    frames = []
    for text in ("\\u001b[2Jcleared", "\\ud800 alone"):
        whisper = '{"type":"whisper","from":"alice","to":"bob","text":"' + text + '"}'
        frames.append(Ether() / IP(src="127.0.0.1", dst="127.0.0.2") / UDP(sport=9, dport=9) / whisper.encode())
    wrpcap("bad.pcap", [*frames, Raw(b"\x00\x01\x02")], linktype=1)
    assert run(["stage-1", "sniffer", "--read", "bad.pcap"]) == 0
    printed = capsys.readouterr().out
    assert "cleared" in printed
    assert "alone" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["stage-1", "attack", "--goal", "fame"], "No attack has a goal fame; there are: room, passwords, whispers"),
        (
            ["stage-1", "sniffer", "--goal", "room", "--write", "."],
            "--write takes a file in a folder",
        ),
        (["stage-1", "sniffer", "--write", "x.pcapng"], "--write takes one goal; choose it with --goal."),
        (["stage-1", "sniffer", "--goal", "passwords", "--write", "x"], "There is no capture of sniffer/passwords"),
        (
            ["stage-1", "mitm", "--target", "127.0.0.1:5001", "--json"],
            "With TARGET= there is no bench, so --json",
        ),
    ],
)
def test_options_that_cannot_be_heeded_are_one_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*options, "--network", NETWORK]) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_goal_selects_from_all_attacks_those_that_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "attack", "--goal", "whisper", "--json", "--network", NETWORK])
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {cell["goal"] for cell in cells} == {"whisper"}
    assert {"spoofed_whisper", "replay"} <= {cell["attack"] for cell in cells}


def test_write_leaves_other_files_alone() -> None:
    Path("keep.part").write_text("mine")
    assert run(["stage-1", "spoofed_whisper", "--write", "keep.pcapng", "--network", NETWORK]) == 0
    assert Path("keep.part").read_text() == "mine"
    assert Path("keep.pcapng").stat().st_size


def test_count_runs_an_attack_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "spoofed_whisper", "--count", "3", "--json", "--network", NETWORK])
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["verdict"] for cell in cells] == ["broken"] * 3


def test_duration_begins_nothing_more_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "spoofed_whisper", "--count", "50", "--duration", "0.01", "--json", "--network", NETWORK])
    assert len(json.loads(capsys.readouterr().out)["cells"]) == 1


def test_matrix_prints_an_object_whose_cells_are_a_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {1: stages.find(1)}  # one stage is enough to see the form
    monkeypatch.setattr("stages.catalogue", lambda: first)
    assert run(["matrix", "--json", "--network", NETWORK]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {cell["stage"] for cell in cells} == {1}
    assert all(cell["verdict"] == cell["expected"] for cell in cells)


def test_doctor_names_a_network_that_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["network"] in ("lan", "loopback")
    assert run(["doctor"]) == 0
    assert "The lab will run on: " in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered_for_common_shells(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_LAB_COMPLETE" in capsys.readouterr().out


def test_completion_completes_an_attack() -> None:
    environment = {**os.environ, "_LAB_COMPLETE": "bash_complete", "COMP_WORDS": "lab stage-1 sni", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "lab"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert "sniffer" in done.stdout


def test_help_does_not_import_what_it_does_not_need() -> None:
    heavy = "{'scapy', 'rich', 'pyte', 'dnslib', 'prompt_toolkit'}"
    code = f"import sys; from lab.cli import run; run(['--help']); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_attack_is_a_module_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "attacks.spoofed_whisper", "--stage", "1", "--network", NETWORK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "BROKEN   spoofed_whisper/whisper" in done.stdout


def test_ctrl_c_in_the_middle_of_an_attack_ends_it_and_leaves_no_process() -> None:
    command = [sys.executable, "-u", "-m", "lab", "stage-1", "mitm", "--count", "50", "-v", "--network", NETWORK]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if "alice says" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
        assert process.wait(20) == 130
    assert "Traceback" not in errors
    assert not _children_of(process.pid)


def _children_of(pid: int) -> list[str]:
    """The processes that were started by this one and still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(entry.parent.name)
    return found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stage-1", "client", "--name", "bob", "--ca", "ca.pem"], "Stage 1 knows no certificates; leave out CA=."),
        (
            ["stage-4", "client", "--name", "bob", "--password-file", "word", "--ca", "ca.pem"],
            "ca.pem is no authority's certificate",
        ),
    ],
)
def test_authority_is_handed_to_the_client_of_a_stage_that_has_one(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(Path.cwd()))
    Path("word").write_text("secret\n")
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(sentence)


@pytest.mark.parametrize(
    "words", [["stage-1", "sniffer", "--goal", "room"], ["diff", "--to", "5"], ["stage-5", "audit"]]
)
def test_whoever_has_read_enough_ends_nothing_and_is_told_nothing(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
    ) as program:
        assert program.stdout
        assert program.stderr
        assert program.stdout.read(1)
        program.stdout.close()
        said = program.stderr.read()
    assert (program.returncode, said) == (0, b"")
    if "sniffer" in words:  # the run was made to its end
        assert [file.name for file in tmp_path.glob("runs/*/verdicts.json")] == ["verdicts.json"]
