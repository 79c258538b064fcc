"""The capture lab: the questions, what is right in a real capture, and what is said of every wrong answer."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

import pytest

import stages
from common.errors import LabError
from common.levers import Levers
from lab import capture_lab, pcapng, wireshark
from lab.answers import Question, Unreadable, Value, Wrong, flag, frame_number, member, number, shown, spaced
from lab.bench import Bench
from lab.capture_lab import SEGMENT, Line, conversation
from lab.cli import run as lab
from lab.facts import CLIENT_FILE, SERVER_FILE, Facts
from lab.question_table import QUESTIONS
from lab.questions import Checker
from tests.captures import ACK, ALICE, BOB, SERVER, SYN, arp, pcap, say, tcp, udp
from tests.lab.captures import fields
from tests.programs import Program, Terminal

NETWORK = os.environ.get("NETWORK") or "auto"
RST = 4
CAROL = "10.13.37.23"
EVERYWHERE = ["syn", "synack", "ack", "payload", "udp_fields", "field_bytes", "largest_payload", "largest_port"]
EVERYWHERE += ["protocol"]
SET = [(1, "auto"), (1, "loopback"), (3, "auto"), (4, "auto"), (4, "loopback")]
"""The captures that all questions are tried on; at stage 2 and 5 as well there is nothing that is not in these."""


@dataclass
class Run:
    """One run of the capture lab, and what only the bench knows of it."""

    folder: Path
    lines: list[Line]
    canary: str

    @property
    def client(self) -> Path:
        """What client 1's card heard."""
        return self.folder / CLIENT_FILE

    @property
    def address(self) -> str:
        """Client 1's."""
        return fields(self.client, "ip.src", where="tcp.flags.syn == 1")[0][0]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Run]:
    """A capture of several stages on both networks."""

    async def all_of_them() -> dict[tuple[int, str], Run]:
        found = {}
        for at in dict.fromkeys((n, network if network != "auto" else NETWORK) for n, network in SET):
            stage, lines = stages.find(at[0]), conversation(Random(at[0]))
            async with Bench.open(at[1]) as bench:
                scene = await capture_lab.play(bench, stage, Levers(known=stage.levers), lines)
                folder = tmp_path_factory.mktemp(f"{at[0]}-{at[1]}")
                capture_lab.write(bench.recordings["control"], folder)
                found[at] = Run(folder, lines, scene.canaries["whisper"])
        return found

    return asyncio.run(all_of_them())


@pytest.fixture(params=SET, ids=lambda at: f"stage{at[0]}-{at[1]}")
def run(request: pytest.FixtureRequest, runs: dict[tuple[int, str], Run]) -> Run:
    """Each of them."""
    at = request.param
    return runs[at[0], at[1] if at[1] != "auto" else NETWORK]


@pytest.fixture
def one(runs: dict[tuple[int, str], Run]) -> Run:
    """One of stage 1."""
    return runs[1, NETWORK]


def tell(path: Path, name: str, where: str) -> list[int]:
    """What tshark tells of a field, in these frames."""
    return [int(row[0], 0) for row in fields(path, name, where=where)]


def test_numbers_of_the_handshake_are_those_that_tshark_shows(run: Run) -> None:
    checker, mine = Checker(run.folder), f"tcp.flags.syn == 1 && ip.addr == {run.address}"
    (syn,) = tell(run.client, "tcp.seq_raw", f"{mine} && tcp.flags.ack == 0")
    (synack,) = tell(run.client, "tcp.seq_raw", f"{mine} && tcp.flags.ack == 1")
    (ack,) = tell(run.client, "tcp.ack_raw", f"{mine} && tcp.flags.ack == 1")
    assert checker.syn(syn).right
    assert checker.synack(synack).right
    assert checker.ack(ack).right
    assert len({0, 1, syn, synack, ack}) == 5, "no number is guessed by its relative one"


def test_answers_about_the_datagram_are_those_that_tshark_shows(run: Run) -> None:
    checker, mine = Checker(run.folder), f'udp && ip.src == {run.address} && frame contains "whisper"'
    assert checker.payload(tell(run.client, "udp.length", mine)[0] - 8).right
    assert checker.protocol(tell(run.client, "ip.proto", mine)[0]).right
    assert checker.udp_fields(4).right
    assert checker.field_bytes(2).right
    assert checker.field_bytes("16 bits").right
    assert checker.largest_port(2**16 - 1).right


def test_largest_payload_is_what_the_kernel_takes_or_what_udp_alone_would_hold(one: Run) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as into, socket.socket(type=socket.SOCK_DGRAM) as out:
        into.bind(("127.0.0.1", 0))
        assert out.sendto(bytes(65507), into.getsockname()) == 65507
        with pytest.raises(OSError, match="too long"):
            out.sendto(bytes(65508), into.getsockname())
    for answer in (65507, 65527):
        result = Checker(one.folder).largest_payload(answer)
        assert result.right
        assert "65 527" in result.feedback
        assert "65 507" in result.feedback


def test_canary_is_the_one_of_the_run_and_in_the_frame_that_tshark_finds(run: Run) -> None:
    found = tell(run.client, "frame.number", f'frame contains "{run.canary}"')
    checker = Checker(run.folder)
    if "canary" not in checker.questions:
        assert found == [], "sealed"
        return
    assert len(found) == 1
    assert checker.canary(found[0]).right
    assert checker.canary(f"frame {found[0]}").right


def test_segments_of_the_third_message_are_those_that_tshark_shows(run: Run) -> None:
    checker = Checker(run.folder)
    if "segments" not in checker.questions:
        assert tell(run.client, "frame.number", "tls.record.content_type"), "inside TLS"
        return
    rows = fields(run.client, "tcp.seq_raw", "tcp.payload", where=f"ip.src == {run.address} && tcp.len > 0")
    stream = [(int(seq), bytes.fromhex(data.replace(":", ""))) for seq, data in rows]
    says, number_of = 0, 0
    for _, data in stream:
        said = data.count(b'"type":"say"')  # no line of client 1 begins in the segment in which another ends
        number_of += says + said == 3
        says += said
    assert checker.segments(number_of).right


def test_whispers_are_counted_by_who_sent_them_to_whom(tmp_path: Path) -> None:
    checker = Checker(sealed(tmp_path))
    assert checker.partner("10.13.37.22").right
    assert checker.whisper_count(5).right
    for answer, says in {
        7: "to everybody",
        8: "both directions",
        11: "all whispers",
        4: "came back",
        12: "DNS",
    }.items():
        assert says in Checker(sealed(tmp_path)).whisper_count(answer).feedback


def test_flag_that_ends_the_connection_is_the_one_that_tshark_shows(one: Run) -> None:
    assert tell(one.client, "frame.number", "tcp.flags.fin == 1")
    assert not tell(one.client, "frame.number", "tcp.flags.reset == 1")
    for answer in ("FIN", "fin", "[FIN, ACK]", "0x011", "17", 1):
        assert Checker(one.folder).flag(answer).right, answer


def test_partner_and_number_of_sealed_whispers_are_those_of_the_conversation(run: Run) -> None:
    checker, told = Checker(run.folder), [line.to for line in run.lines if line.who == "alice" and line.to]
    friend = max(set(told), key=told.count)
    if "partner" not in checker.questions:
        assert "canary" in checker.questions
        return
    assert checker.partner(friend).right
    assert checker.partner(checker.facts.whispers[0].packet.target[0]).right, "by the address"
    assert checker.whisper_count(told.count(friend)).right
    assert not checker.whisper_count(told.count(friend) - 1).right


def test_every_question_has_an_answer_somewhere_and_is_asked_where_it_has_one(
    runs: dict[tuple[int, str], Run],
) -> None:
    asked = {at: list(Checker(run.folder).questions) for at, run in runs.items()}
    assert asked[1, NETWORK] == [*EVERYWHERE, "canary", "segments", "flag"]
    assert asked[3, NETWORK] == [*EVERYWHERE, "segments", "flag", "partner", "whisper_count"]
    assert asked[4, NETWORK] == [*EVERYWHERE, "flag", "partner", "whisper_count"]
    assert {question.name for question in QUESTIONS} == {name for names in asked.values() for name in names}


def made(folder: Path, port: int, *frames: bytes) -> Path:
    """A capture made by hand, in which client 1 connects to this port and then these frames come."""
    there, back = {"target": (SERVER, port)}, {"source": (SERVER, port), "target": (ALICE, 4000)}
    opening = [
        arp(1, ALICE, SERVER, card=ALICE),
        tcp(b"", 1000, flags=SYN, ack=0, **there),  # type: ignore[arg-type]
        tcp(b"", 9000, flags=SYN | ACK, ack=1001, **back),  # type: ignore[arg-type]
        tcp(b"", 1001, flags=ACK, ack=9001, **there),  # type: ignore[arg-type]
    ]
    file = folder / f"made-{port}.pcap"
    file.write_bytes(pcap(*opening, *frames))
    return file


def torn_down(folder: Path) -> Path:
    """What the lab's own conversation has not, or not always: a message that shares a segment, one sent again, ARP, and
    a reset."""
    first, rest = say("a" * 40) + say("b") + say("c" * 900)[:500], say("c" * 900)[500:]
    frames = [tcp(first, 1001, ack=9001), *[tcp(rest, 1001 + len(first), ack=9001)] * 2]
    reset = tcp(b"", 9001, flags=RST, source=(SERVER, 5001), target=(ALICE, 4000))
    secret = udp(b'{"type":"whisper","from":"alice","to":"bob","text":"whisper-0123456789ab"}')
    return made(folder, 5001, *frames, whispered(ALICE, BOB), whispered(BOB, ALICE), secret, reset)


def sealed(folder: Path) -> Path:
    """Whispers that cannot be read: five to Bob, who answers three times, two to Carol, who answers once; and DNS."""
    sent = [*[(ALICE, BOB)] * 5, *[(ALICE, CAROL)] * 2, *[(BOB, ALICE)] * 3, (CAROL, ALICE)]
    return made(folder, 5004, udp(b"?", target=(SERVER, 53)), *(whispered(*ends, name="ciphertext") for ends in sent))


def whispered(source: str, target: str, name: str = "text") -> bytes:
    """A whisper as a frame; whoever answers says something longer."""
    words = f'{{"type":"whisper","from":"x","to":"y","{name}":"hush{"!" * (source != ALICE)}"}}'
    return udp(words.encode(), source=(source, 7), target=(target, 9))


def test_segment_that_is_sent_again_counts_once_and_one_that_is_shared_counts(tmp_path: Path) -> None:
    checker = Checker(torn_down(tmp_path))
    assert checker.segments(2).right
    assert checker.flag("RST").right


def wrong_answers(question: Question, facts: Facts) -> Iterator[tuple[Value, Wrong]]:
    """Every wrong answer that a question knows and that is wrong here, with what is said of it."""
    met: set[Value] = set()
    for known in question.wrong:
        for value in known.values(facts):
            if value not in met and value not in question.right(facts):
                met.add(value)
                yield value, known


def test_every_known_wrong_answer_has_feedback_of_its_own(runs: dict[tuple[int, str], Run], tmp_path: Path) -> None:
    reached: set[tuple[str, str]] = set()
    for place in (*(run.folder for run in runs.values()), torn_down(tmp_path), sealed(tmp_path)):
        facts = Checker(place).facts
        for question in Checker(place).questions.values():
            for value, known in wrong_answers(question, facts):
                says = known.says.format(n=shown(value), f=facts)
                result = Checker(place).check(question.name, value)
                assert (result.right, result.told) == (False, False)
                assert result.feedback.startswith(f"{says}\n"), "what it is, and then where to look"
                reached.add((question.name, known.says))
    there = [(question.name, wrong.says) for question in QUESTIONS for wrong in question.wrong]
    assert len(set(there)) == len(there), "no two say the same"
    assert set(there) == reached, "none is hidden behind another"


def test_first_feedback_does_not_have_the_answer_in_it(runs: dict[tuple[int, str], Run]) -> None:
    for each in runs.values():
        facts = Checker(each.folder).facts
        for question in Checker(each.folder).questions.values():
            answers = "|".join(re.escape(shown(value)) for value in question.right(facts))
            for value, _ in wrong_answers(question, facts):
                said = Checker(each.folder).check(question.name, value).feedback.splitlines()[0]
                said = said.removeprefix(f"{shown(value)} ").replace("client 1", "the client")
                assert not re.search(rf"\b({answers})\b", said), (question.name, said)


def slips(right: int) -> Iterable[tuple[object, str]]:
    """What people make of a number of four bytes."""
    yield right - 1, "is one beside it"
    yield 8 * right, "is the number of bits"
    yield int.from_bytes(right.to_bytes(4, "little"), "big"), "in the wrong order"


def test_slips_with_numbers_are_recognised(one: Run) -> None:
    facts = Checker(one.folder).facts
    for answer, says in slips(facts.syn.seq):
        assert says in Checker(one.folder).syn(answer).feedback.splitlines()[0]
    assert "hexadecimal" in Checker(one.folder).protocol("11").feedback
    digits = f"{facts.whisper.payload:x}"
    if digits.isdigit():
        assert "hexadecimal" in Checker(one.folder).payload(digits).feedback


def test_other_numbers_of_the_same_headers_are_called_by_their_names(one: Run) -> None:
    window, port, stream = fields(one.client, "tcp.window_size_value", "tcp.srcport", "frame.number", where="tcp")[0]
    for answer, name in ((window, "the window"), (port, "the source port"), (stream, "the frame's own number")):
        assert name in Checker(one.folder).syn(answer).feedback.splitlines()[0]


def test_timestamps_are_known_where_there_are_any(one: Run) -> None:
    stamps = fields(one.client, "tcp.options.timestamp.tsval", where="tcp.flags.syn == 1")[0]
    if stamps[0]:  # the relay's frames have none
        assert "the timestamp among TCP's options" in Checker(one.folder).syn(stamps[0]).feedback


def third(lines: list[Line]) -> str:
    """Client 1's third message to the room."""
    return [line.text for line in lines if line.who == "alice" and not line.to][2]


def place(lines: list[Line]) -> int:
    """How much is said before the whisper that has canary 2."""
    return next(n for n, line in enumerate(lines) if "{whisper}" in line.text)


def unlike(one: list[Line], other: list[Line]) -> bool:
    """Do they differ in all that is drawn, and by more than a few acknowledgements?"""
    first = [next(line.text for line in lines if line.who == "alice" and line.to) for lines in (one, other)]
    segments = [len(third(lines)) // SEGMENT for lines in (one, other)]
    return abs(place(one) - place(other)) > 8 and len(set(map(len, first))) == 2 == len(set(segments))


def test_answers_of_one_run_are_wrong_in_another(one: Run, tmp_path: Path) -> None:
    lines = next(talk for talk in map(conversation, map(Random, count(100))) if unlike(talk, one.lines))

    async def again() -> None:
        stage = stages.find(1)
        async with Bench.open(NETWORK) as bench:
            await capture_lab.play(bench, stage, Levers(known=stage.levers), lines)
            capture_lab.write(bench.recordings["control"], tmp_path)

    asyncio.run(again())
    first, second = Checker(one.folder), Checker(tmp_path)
    for name in ("syn", "synack", "ack", "payload", "canary", "segments"):
        (answer,) = first.questions[name].right(first.facts)
        assert first.check(name, answer).right
        assert not second.check(name, answer).right, name


def test_conversations_differ_in_everything_that_is_asked_for() -> None:
    talks = [conversation(Random(seed)) for seed in range(200)]
    asides = [[line for line in talk if line.who == "alice" and line.to] for talk in talks]
    assert {lines[0].to for lines in asides} == {"bob", "carol"}
    assert len({len(lines[0].text) for lines in asides}) > 50
    assert len({place(talk) for talk in talks}) > 15
    for lines in asides:
        to = [line.to for line in lines]
        assert to.count(to[0]) > len(to) / 2, "one of them got more than the other"
        assert "{whisper}" not in lines[0].text, "the datagram that the questions point at is another one"
    assert {len(third(talk)) // SEGMENT for talk in talks} == {0, 1, 2}


def test_answer_is_told_with_the_third_wrong_one_and_not_before(one: Run) -> None:
    checker = Checker(one.folder)
    header = spaced(checker.facts.syn.seq)
    first, second, third = (checker.syn(0) for _ in range(3))
    assert "relative number" in first.feedback
    assert "tcp.seq_raw" in first.feedback
    assert "tshark -r" not in first.feedback
    assert f"tshark -r {one.client} -Y 'frame.number == " in second.feedback
    assert not any(header in result.feedback for result in (first, second))
    assert third.feedback.endswith(f"\nThe header holds {header}.")
    assert [result.told for result in (first, second, third)] == [False, False, True]
    late = checker.syn(checker.facts.syn.seq)
    assert (late.right, late.told) == (True, True)


def test_commands_of_a_hint_show_the_answer(
    one: Run, needs: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    needs("tshark")
    checker = Checker(one.folder)
    for name in ("syn", "synack", "ack", "payload", "protocol", "canary"):
        commands = [shlex.split(row) for row in checker.hint(name).splitlines() if row.startswith("  ")]
        assert [command[0] for command in commands] == ["tshark", ".venv/bin/lab"][: len(commands)]
        shows = subprocess.run(commands[0], capture_output=True, text=True, check=True).stdout
        (answer,) = checker.questions[name].right(checker.facts)
        if name == "canary":
            assert re.match(rf" *{answer} ", shows)
        else:
            assert int(shows) - 8 * (name == "payload") == answer
        for command in commands[1:]:
            assert lab(command[1:]) == 0
            assert re.search(rf"\b{answer}\b", capsys.readouterr().out), name


def test_notebook_gets_results_that_read_well_and_prints_nothing(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    checker = Checker(str(one.folder))
    right, wrong = checker.syn(checker.facts.syn.seq), checker.check("syn", 123)
    assert bool(right) is right.right is True
    assert repr(right).startswith("syn: Right. Nobody can guess that number")
    assert repr(wrong).startswith("syn: 123 is not it, and none of the other numbers in that frame's headers.")
    assert "payload: Client 1's first whisper is a UDP datagram." in repr(checker)
    assert set(checker.questions) <= set(dir(checker))
    with pytest.raises(AttributeError, match=r"^There is no question sin; there are: syn, "):
        checker.sin(1)
    with pytest.raises(LabError, match=r"^partner cannot be asked of .*: its whispers can be read as they stand"):
        checker.partner("bob")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 3412098711 ", 3412098711),
        ("3 412 098 711", 3412098711),
        ("3,412,098,711", 3412098711),
        ("3_412_098_711", 3412098711),
        ("3.412.098.711", 3412098711),
        ("3'412'098'711", 3412098711),
        ("3\N{NO-BREAK SPACE}412", 3412),
        ("0xCB60A297", 0xCB60A297),
        ("0xcb60_a297", 0xCB60A297),
        ("17.0", 17),
        ("2 bytes", 2),
        ("16 bits", 2),
        ("3 segments", 3),
    ],
)
def test_number_is_read_as_people_write_it(text: str, value: int) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (number, "", "That is no number"),
        (number, "many", "That is no number"),
        (number, "-1", "That is no number"),
        (number, "1.5", "That is no number"),
        (number, "0x", "That is no number"),
        (number, "9" * 5000, "too long for a number"),
        (number, "\x1b[2J", "That is no number"),
        (number, "cb60a297", "write 0x before it"),
        (frame_number, "whisper-0123456789ab", "That is the secret itself"),
        (flag, "URGENT", "That is none of TCP's flags"),
        (flag, "", "That is none of TCP's flags"),
        (flag, "SYN FIN RST", "name the one that ends a connection"),
        (member, "everybody else", "That is no host"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(read: Callable[[str], Value], text: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read(text)


def test_what_is_no_answer_does_not_count_as_one(one: Run) -> None:
    checker = Checker(one.folder)
    for _ in range(5):
        assert not checker.syn("what?").told


def test_capture_has_two_files_without_comments_and_without_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab(["stage-4", "capture", "--network", NETWORK]) == 0
    (folder,) = Path("runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {CLIENT_FILE, SERVER_FILE}
    assert not fields(folder / CLIENT_FILE, "frame.comment", where="frame.comment")
    assert not fields(folder / SERVER_FILE, "frame.number", where='udp && frame contains "whisper"')
    said = capsys.readouterr().out.splitlines()
    assert f"is in {folder / CLIENT_FILE}, what the server's heard in {SERVER_FILE} beside it" in said[-1]
    assert said[-1].endswith("then make stage-4 questions.")
    assert wireshark.last_capture() == folder / CLIENT_FILE


def test_questions_are_about_the_last_capture_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path("runs", f"20260101-000000-stage1-capture-{end}", CLIENT_FILE) for end in ("ffff", "0000")]
    for n, file in enumerate(files):
        file.parent.mkdir(parents=True)
        file.write_bytes(one.client.read_bytes())
        os.utime(file, ns=(n, n))
    assert Checker().facts.path == Checker(stage=1).facts.path == files[1]
    assert lab(["stage-4", "questions"]) == 2
    assert capsys.readouterr().err == "There is no capture of stage 4 yet; make one: make stage-4 capture\n"


def test_answers_as_options_are_checked_and_summed_up(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Checker(one.folder).facts
    right = [f"--answer=syn={spaced(facts.syn.seq)}", f"--answer=ack={hex(facts.synack.ack)}"]
    assert lab(["stage-1", "questions", str(one.folder), *right]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("syn: Right.")
    assert out[-1] == "2 of 12 right."
    assert lab(["stage-1", "questions", str(one.client), *right, "--answer", "largest_port=65536", "--json"]) == 1
    found = {row["question"]: row for row in json.loads(capsys.readouterr().out)["questions"]}
    assert (found["ack"]["right"], found["largest_port"]["right"]) == (True, False)
    assert found["largest_port"]["is"].startswith("65 536 is how many there are; counting begins with 0.")
    assert found["largest_port"]["answers"] == ["65536"]


def test_results_are_kept_only_on_request(one: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / CLIENT_FILE).write_bytes(one.client.read_bytes())
    given = ["stage-1", "questions", str(tmp_path), "--answer", "udp_fields=4"]
    assert lab(given) == 0
    assert [path.name for path in tmp_path.iterdir()] == [CLIENT_FILE]
    assert lab([*given, "--save"]) == 0
    assert "udp_fields       right\n" in (tmp_path / "results.txt").read_text()
    said = f"Kept in {tmp_path / 'results.txt'}.\nTo be handed in: {tmp_path / 'answers.json'}.\n"
    assert capsys.readouterr().out.endswith(said)


COMMAND = [sys.executable, "-m", "lab", "stage-1", "questions"]


def test_answers_through_a_pipe_are_checked_one_after_the_other(one: Run, start: Callable[..., Program]) -> None:
    program = start(*COMMAND, str(one.folder))
    facts = Checker(one.folder).facts
    program.types("0", str(facts.syn.seq), "", "?", b"\xff\xfe", "q")
    status, out, err = program.ends()
    assert (status, err) == (0, "")
    assert "0 is the relative number" in out
    assert "Right. Nobody can guess that number" in out
    assert "Look at frame" in out.partition("3/12")[2], "asked with ?"
    assert "That is no number" in out
    assert re.search(r"^syn +right, at try 2$", out, re.MULTILINE)
    assert re.search(r"^ack +not right \(1 try\)$", out, re.MULTILINE)
    assert out.endswith("1 of 12 right.\n")


def test_interrupt_and_end_of_input_end_with_the_results(one: Run, start: Callable[..., Program]) -> None:
    for how in (signal.SIGINT, 0):
        program = start(*COMMAND, str(one.folder))
        assert program.line().startswith("12 questions about ")
        while not program.line().startswith("1/12"):
            pass
        status, out, err = program.ends(how)
        assert (status, err) == (0, "")
        assert out.endswith("0 of 12 right.\n")


def test_terminal_asks_and_answers_within_its_80_columns(one: Run) -> None:
    terminal = Terminal(*COMMAND, str(one.folder))
    try:
        terminal.shows("number does the header of that SYN hold? (The absolute one.)", ">")
        terminal.types("1 287 686\r")
        terminal.shows("Protocols > TCP > Relative sequence numbers.", ">")
        assert "> 1 287 686" in terminal.rows()
        terminal.types("\r")
        terminal.shows(
            "2/12 synack: The server answers with a SYN-ACK. Which sequence number is in", "its header?", ">"
        )
        terminal.types("\x04")
        assert terminal.ends() == 0
        assert terminal.rows()[-1] == "0 of 12 right."
        assert "syn              not right (1 try)" in terminal.rows()
    finally:
        terminal.close()


def test_bad_captures_are_one_sentence_with_the_next_step(
    one: Run, runs: dict[tuple[int, str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    data = one.client.read_bytes()
    Path("cut.pcapng").write_bytes(data[:-10])
    Path("words").write_text("This is no capture.\n")
    Path("foreign.pcap").write_bytes(pcap(udp(b"x")))
    Path("late.pcap").write_bytes(pcap(tcp(say("hello"), 5)))
    Path("empty").mkdir()
    pcapng.write(Path("none.pcapng"), "lan", [])
    four = runs[4, NETWORK].client
    for file, sentence in {
        "cut.pcapng": r"cut\.pcapng is cut off behind frame \d+; .* so capture again\.",
        "words": r"words is no capture \(.*\); give a pcap or pcapng file\.",
        "foreign.pcap": r"There is no chat of the lab in foreign\.pcap; make a capture of one: make stage-1 capture",
        "none.pcapng": r"There is no chat of the lab in none\.pcapng; make a capture of one: make stage-1 capture",
        "late.pcap": r"late\.pcap does not have the three segments .*; make another capture: make stage-1 capture",
        "empty": r"empty has no client1\.pcapng; make a capture: make stage-1 capture",
        "nowhere": r"There is no nowhere; give a run's folder, or make a capture: make stage-1 capture",
        str(four): rf"{four} is a capture of stage 4; ask there: make stage-4 questions FILE={four}",
        str(one.folder / SERVER_FILE): rf"The questions are about client 1's card; give {one.client}\.",
        "": r"There is no capture of stage 1 yet; make one: make stage-1 capture",
    }.items():
        assert lab(["stage-1", "questions", *([file] if file else [])]) == 2, file
        assert re.fullmatch(f"{sentence}\n", capsys.readouterr().err), file


def test_answers_to_no_question_are_one_sentence(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for answer, sentence in {
        "syn": r"--answer takes NAME=ANSWER, as in syn=3412098711; syn is not\.",
        "sin=1": r"There is no question sin; there are: syn, .*\.",
        "partner=bob": r"partner cannot be asked of .*: its whispers can be read .*",
    }.items():
        assert lab(["stage-1", "questions", str(one.folder), "--answer", answer]) == 2
        assert re.fullmatch(f"{sentence}\n", capsys.readouterr().err)


def test_damaged_capture_is_asked_about_or_refused_and_never_a_crash(one: Run, tmp_path: Path) -> None:
    chance, data, asked = Random(1), one.client.read_bytes(), 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / CLIENT_FILE).write_bytes(damaged)
        try:
            checker = Checker(tmp_path)
        except LabError:
            continue
        for name in checker.questions:
            for answer in ("12", "fin", "0x99", "nobody"):
                assert checker.check(name, answer).feedback
        asked += 1
    assert 0 < asked < 60, "both happen"
