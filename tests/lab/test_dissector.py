"""The dissector: what it takes for a message, what it marks, and that no capture can hold it up."""

import json
import os
import stat
import time
from collections.abc import Callable
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec
import pytest

import stages
from common.errors import LabError
from common.limits import DATAGRAM_BYTES, LINE_BYTES
from common.messages import Message
from common.text import printable
from common.wire import Decoder, WireError, encode
from lab import dissector
from lab.cli import run
from tests.lab.captures import SECONDS, datagram, fields, segments, tshark, written

STAGE = stages.find(1)
SAY = b'{"type":"say","from":"alice","text":"hello"}'
WHISPER = b'{"type":"whisper","from":"alice","to":"bob","text":"psst"}'
HOSTILE_SECONDS = 10.0
"""On a machine that has other things to do; alone it takes one or two."""


def answers(stage: stages.Stage, line: bytes) -> str:
    """What an endpoint of this stage would refuse a line with; nothing where it would take it."""
    decoder: Decoder[Message] = Decoder(reduce(or_, stage.messages.values()))
    try:
        decoder.decode(line)
    except WireError as error:
        return error.code
    return ""


LINES = [
    (1, SAY),
    (1, b' { "type" : "say" , "from" : "alice" , "text" : "\\u00e4\\ud83d\\ude00\\n\\"\\\\" } '),
    (1, '{"type":"say","from":"alice","text":"ä😀\x7f"}'.encode()),
    (1, b'{"type":"say","from":"alice","to":null,"text":"x"}'),
    (1, b'{"type":"roster","members":[],"more":true}'),
    (1, b'{"type":"roster","members":[{"name":"a","address":"10.0.0.1","udp_port":9}]}'),
    (3, b'{"type":"say","kind":"room","from":"a","counter":[1,9007199254740991],"nonce":"","ciphertext":""}'),
    (1, b"hello"),
    (1, b'{"type":"say","from":"alice","text":"hello"'),
    (1, b'{"type":"say","from":"alice","text":"hello"}}'),
    (1, b'{"type":"say","from":"alice","text":"hello",}'),
    (1, b"{'type':'say'}"),
    (1, b'{"type":"say","from":"alice","text":"tab\there"}'),
    (1, b'{"type":"say","from":"alice","text":"\\x"}'),
    (1, b'{"type":"say","from":"alice","text":"\\ud83d"}'),
    (1, b'{"type":"join","name":"alice","udp_port":01}'),
    (1, b'{"type":"join","name":"alice","udp_port":+1}'),
    (1, b'{"type":"join","name":"alice","udp_port":.5}'),
    (1, b'{"type":"join","name":"alice","udp_port":NaN}'),
    (1, b"tru"),
    (1, b"[]"),
    (1, b"42"),
    (1, b'"say"'),
    (1, b"null"),
    (1, b"{}"),
    (1, b'{"type":7}'),
    (1, b'{"type":"dance"}'),
    (1, b'{"type":"register","name":"alice","password":"x","udp_port":9}'),
    (2, b'{"type":"join","name":"alice","udp_port":9}'),
    (1, b'{"type":"say","from":"alice"}'),
    (1, b'{"type":"say","from":"alice","text":"x","more":true}'),
    (1, b'{"type":"say","from":"alice","text":7}'),
    (1, b'{"type":"say","from":null,"text":"x"}'),
    (1, b'{"type":"join","name":"alice","udp_port":"9"}'),
    (1, b'{"type":"join","name":"alice","udp_port":9.5}'),
    (1, b'{"type":"roster","members":{}}'),
    (1, b'{"type":"roster","members":[7]}'),
    (1, b'{"type":"roster","members":[{"name":"a","address":"10.0.0.1"}]}'),
    (1, b'{"type":"roster","members":[{"name":"a","address":"10.0.0.1","udp_port":9,"x":1}]}'),
    (5, b'{"type":"roster","members":[{"name":"a","address":"10.0.0.1","udp_port":9}]}'),
    (3, b'{"type":"say","from":"alice","text":"hello"}'),
    (1, b"\xff\xfe"),
    (1, b'{"type":"say","from":"alice","text":"\xc0\xaf"}'),
    (1, b'{"type":"say","from":"alice","text":"\xed\xa0\x80"}'),
    (1, b'{"type":"say","from":"alice","text":"\xf4\x90\x80\x80"}'),
    (1, b'{"type":"say","from":"alice","text":"\xe4"}'),
]
"""A stage, and a line that somebody sends there: right, or wrong in one way."""


def test_dissector_and_the_decoder_of_every_stage_say_the_same_of_a_line(tmp_path: Path) -> None:
    for number in sorted({number for number, _ in LINES}):
        stage = stages.find(number)
        lines = [line for at, line in LINES if at == number]
        made = written(tmp_path, *segments(stage.port, *(line + b"\n" for line in lines)))
        found = [row[0] for row in fields(made, "lab.malformed")]
        assert dict(zip(lines, found, strict=True)) == {line: answers(stage, line) for line in lines}


def test_text_is_shown_as_it_was_meant(tmp_path: Path) -> None:
    line = b'{"type":"say","from":"alice","text":"\\u00e4\\ud83d\\ude00 \\"quoted\\" \\u0000 end"}'
    made = written(tmp_path, *segments(STAGE.port, line + b"\n"))
    assert fields(made, "lab.text") == [['ä😀 "quoted" ␀ end']]


def test_peers_words_do_not_reach_the_terminal_as_they_stand(tmp_path: Path) -> None:
    line = '{"type":"say","from":"\u009b31m\u202e\\u001b","\u009b2J":"\u202e"}\n'
    made = written(tmp_path, *segments(STAGE.port, line.encode()))
    for words in ([], ["-V", "-O", "lab"]):
        shown = tshark(made, "-Y", "lab", *words)
        assert ".31m" in shown
        assert not [character for character in shown if character not in "\n\t" and printable(character) != character]


def test_message_is_found_however_it_is_cut_into_segments(tmp_path: Path) -> None:
    for cut in (1, 10, len(SAY)):
        stream = SAY + b"\n" + SAY + b"\n"
        made = written(tmp_path, *segments(STAGE.port, stream[:cut], stream[cut:]))
        found = fields(made, "lab.text")
        assert ",".join(text for row in found for text in row) == "hello,hello"


def test_line_as_long_as_a_line_may_be_is_read_and_a_longer_one_is_marked(tmp_path: Path) -> None:
    for size, malformed in ((LINE_BYTES - 1, ""), (LINE_BYTES, "too-long")):
        line = SAY[:-2] + b"x" * (size - len(SAY)) + SAY[-2:]
        assert len(line) == size
        made = written(tmp_path, *segments(STAGE.port, *_pieces(line + b"\n" + SAY + b"\n")))
        found = [",".join(column) for column in zip(*fields(made, "lab.malformed", "lab.text"), strict=True)]
        assert found[0].strip(",") == malformed
        assert found[1].endswith("hello"), "what comes after it is read again"


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + 1400] for at in range(0, len(data), 1400)]


def test_whisper_is_found_at_any_port(tmp_path: Path) -> None:
    made = written(tmp_path, datagram(WHISPER), datagram(WHISPER, (53000, 9)))
    assert fields(made, "lab.type", "lab.stage") == [["whisper", "1"], ["whisper", "1"]]


def test_datagram_that_is_no_message_is_marked_only_where_whispers_go(tmp_path: Path) -> None:
    roster = b'{"type":"roster","members":[{"name":"bob","address":"10.13.37.22","udp_port":40002}]}\n'
    stray = [datagram(b"\xff\xff" * 9), datagram(b"{}"), datagram(WHISPER + b" " * DATAGRAM_BYTES)]
    assert fields(written(tmp_path, *stray), "lab.malformed") == []
    made = written(tmp_path, *segments(STAGE.port, roster), *stray)
    assert [row[0] for row in fields(made, "lab.malformed", where="udp")] == ["not-utf-8", "unknown-type", "too-long"]


def test_datagram_is_taken_for_a_whisper_where_a_person_says_so(tmp_path: Path) -> None:
    made = written(tmp_path, datagram(b"psst"), datagram(WHISPER))
    said = ["-d", "udp.port==40002,lab_udp", "-T", "fields", "-e", "lab.type", "-e", "lab.malformed"]
    assert tshark(made, *said).splitlines() == ["\tnot-json", "whisper\t"]


def test_stage_at_another_port_is_known_by_its_messages(tmp_path: Path) -> None:
    grant = b'{"type":"key-grant","from":"a","to":"b","public_key":"","nonce":"","ciphertext":""}\n'
    made = written(tmp_path, *segments(6000, SAY + b"\n", grant))
    said = ["-d", "tcp.port==6000,lab_tcp", "-Y", "lab", "-T", "fields", "-e", "lab.type", "-e", "lab.stage"]
    assert tshark(made, *said).splitlines() == ["say\t1", "key-grant\t3"]


def test_whisper_has_the_stage_at_which_its_people_are(tmp_path: Path) -> None:
    """At stages 1 and 2 whispers look alike."""
    login = b'{"type":"login","name":"alice","password":"x","udp_port":40001}\n'
    made = written(tmp_path, *segments(stages.find(2).port, login), datagram(WHISPER))
    assert fields(made, "lab.stage", where="udp") == [["2"]]


def test_names_of_other_protocols_are_left_alone(tmp_path: Path) -> None:
    made = written(tmp_path, datagram(b"\x12\x34\x01\x00" + bytes(20)), datagram(b'{"jsonrpc":"2.0","id":1}'))
    assert fields(made, "frame.protocols") == []


def _many(data: bytes, times: int) -> list[bytes]:
    return segments(STAGE.port, *_pieces(data * times))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param(_many(b"[" * 60_000 + b"\n", 4), "not-json", id="nested lists"),
        pytest.param(_many(b'{"a":' * 12_000 + b"\n", 4), "not-json", id="nested objects"),
        pytest.param(_many(b"[" + b"1," * 30_000 + b"1]\n", 4), "not-json", id="values"),
        pytest.param(_many(b'{"type":"roster","members":[' + b"{}," * 20_000 + b"{}]}\n", 4), "not-json", id="objects"),
        pytest.param(_many(b'"' + b"\\u0041" * 10_000 + b'"\n', 4), "not-an-object", id="escapes"),
        pytest.param(_many(b"1" * 65_000 + b"\n", 4), "not-an-object", id="digits"),
        pytest.param(_many(b"x" * 300_000, 1), "too-long", id="no end of a line"),
        pytest.param(_many(b"\n" * 1_400, 30), "not-json", id="empty lines"),
        pytest.param(_many(b"\xff" * 65_000 + b"\n", 4), "not-utf-8", id="no text"),
        pytest.param(_many("é".encode() * 30_000 + b"\n", 4), "not-json", id="text beyond ASCII"),
        pytest.param([datagram(b"[" * 60_000)] * 20, "", id="datagrams"),
    ],
)
def test_hostile_capture_is_read_to_its_end_in_a_moment(tmp_path: Path, frames: list[bytes], code: str) -> None:
    made = written(tmp_path, *frames)
    began = time.monotonic()
    found = fields(made, "lab.malformed")
    assert time.monotonic() - began < HOSTILE_SECONDS < SECONDS
    assert {one for row in found for one in row[0].split(",")} == ({code} if code else set())


def test_bytes_that_look_like_tls_hide_nothing_at_a_stage_without_it(tmp_path: Path) -> None:
    made = written(tmp_path, *segments(STAGE.port, SAY + b"\n", b"\x16\x03\x01\x00\x05hello\n", SAY + b"\n"))
    assert fields(made, "lab.type", "lab.malformed") == [["say", ""], ["", "not-json"], ["say", ""]]


def test_messages_of_a_stage_whose_tls_is_turned_off_are_found(tmp_path: Path) -> None:
    made = written(tmp_path, *segments(stages.find(4).port, b'{"type":"left","name":"carol"}\n'))
    assert fields(made, "lab.type", "lab.stage") == [["left", "4"]]


# Made from the declarations


@pytest.mark.parametrize("stage", stages.catalogue().values(), ids=lambda stage: stage.slug)
def test_every_message_and_field_that_a_stage_declares_is_in_the_dissector(stage: stages.Stage) -> None:
    text = dissector.lua()
    for tag, kind in stage.messages.items():
        assert f'["{tag}"] = {{' in text
        declared = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert set(dissector.fields_of(kind)) == {"type", *declared}
    assert "@" not in text.replace("@alice", "")


def test_field_of_a_kind_that_has_no_word_yet_is_one_sentence() -> None:
    class Odd(Message, frozen=True, kw_only=True, tag="odd"):
        """Has a field that no message has so far."""

        half: float

    with pytest.raises(LabError, match=r"^A field is declared as .*, for which lab\.dissector has no kind yet\.$"):
        dissector.fields_of(Odd)


def test_field_of_two_kinds_is_one_sentence() -> None:
    two: list[dict[str, Any]] = [{"n": dissector.Field(kind, True, False)} for kind in ("string", "integer")]
    with pytest.raises(LabError, match="The field n is string in one message and integer in another"):
        dissector._kinds(iter(two))


# The verbs


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run_folder(name: str, *captures: str) -> Path:
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    for capture in captures:
        (folder / capture).touch()
    cells = [{"capture": ""}, {"capture": captures[0]}] if captures else []
    (folder / "verdicts.json").write_text(json.dumps({"cells": cells}))
    return folder


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.usefixtures("_elsewhere")
def test_dissector_is_printed_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dissector"]) == 0
    printed = capsys.readouterr().out
    assert printed == dissector.lua()
    assert run(["dissector", "--write", "own.lua"]) == 0
    assert Path("own.lua").read_text() == printed
    assert run(["dissector", "--write", "no/such/folder.lua"]) == 2
    assert "no/such/folder.lua cannot be written (No such file or directory)" in capsys.readouterr().err


@pytest.mark.usefixtures("_elsewhere")
def test_wireshark_opens_the_last_runs_capture_with_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run_folder("20260101-120000-stage1-sniffer-aaaa", "sniffer-room.pcapng")
    last = _run_folder("20260102-120000-stage4-mitm-aaaa", "mitm-read.pcapng", "mitm-read.with-secrets.pcapng")
    _run_folder("20260103-120000-stage1-sniffer-aaaa")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    _program(tmp_path, "wireshark", 'printf "%s\\n" "$@" >asked; exit 3')
    assert run(["wireshark"]) == 3
    opened = f"{last}/mitm-read.with-secrets.pcapng"
    assert Path("asked").read_text().splitlines() == ["-X", "lua_script:runs/lab.lua", opened]
    assert Path("runs/lab.lua").read_text() == dissector.lua()
    assert f"tshark -X lua_script:runs/lab.lua -r {opened} -Y lab" in capsys.readouterr().out


@pytest.mark.usefixtures("_elsewhere")
def test_wireshark_says_what_to_type_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    Path("my room.pcapng").touch()
    assert run(["wireshark", "my room.pcapng"]) == 0
    shown = capsys.readouterr().out
    assert "wireshark -X lua_script:runs/lab.lua 'my room.pcapng'" in shown
    assert "Wireshark is not installed here" in shown


@pytest.mark.usefixtures("_elsewhere")
def test_files_name_is_no_option_and_no_escape_sequence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    Path("-k\x1b[2J.pcapng").touch()
    assert run(["wireshark", "--", "-k\x1b[2J.pcapng"]) == 0
    shown = capsys.readouterr().out
    assert "lua_script:runs/lab.lua './-k\N{REPLACEMENT CHARACTER}[2J.pcapng'" in shown
    assert "\x1b" not in shown
    assert run(["wireshark", "\x1b[2J.pcapng"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no run with a capture yet; make one, for example with: make stage-1 sniffer\n"),
        (["x"], "There is no capture x; give a pcap or pcapng file, or none for the last run's.\n"),
    ],
)
def test_wireshark_without_a_capture_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["wireshark", *words]) == 2
    assert capsys.readouterr().err == sentence


@pytest.mark.usefixtures("_elsewhere")
def test_line_that_tshark_shows_can_be_typed_as_it_stands(
    needs: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    needs("tshark")
    made = written(tmp_path, *segments(STAGE.port, encode(STAGE.messages["left"](name="carol"))))
    run(["wireshark", str(made)])
    (line,) = (row for row in capfd.readouterr().out.splitlines() if row.startswith("In a terminal:"))
    assert os.system(line.partition(":")[2]) == 0  # noqa: S605 - typed as a person would
    assert "left name=carol" in capfd.readouterr().out
