"""The quiz and the hints, as a person meets them: in a terminal, through a pipe, by options; and what is remembered."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import hints, judging, progress, question_file
from lab.cli import run as lab
from lab.question_file import questions
from tests.lab.test_question_file import CHOICE, RUN, SHORT
from tests.programs import Program, Terminal

NETWORK = os.environ.get("NETWORK") or "auto"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c"]
IN_PLACE = """
import sys
from pathlib import Path
from lab import question_file
question_file.path_of = lambda stage: Path("quiz.toml")
from lab.cli import run
sys.exit(run(sys.argv[1:]))
"""
"""The command `lab` with the questions of this test in place of the handout's."""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Questions, runs and a data folder of this test alone."""
    (tmp_path / "quiz.toml").write_text(CHOICE + SHORT + RUN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(question_file, "path_of", lambda stage: tmp_path / "quiz.toml")
    questions.cache_clear()
    yield
    questions.cache_clear()


def quiz(*words: str) -> list[str]:
    """The command line."""
    return [*COMMAND, IN_PLACE, "stage-1", "quiz", *words]


def letter_of(lines: list[str], text: str) -> str:
    """The letter that an option has in this run."""
    return next(line.split(")")[0].strip() for line in lines if line.endswith(f") {text}"))


def test_questions_are_asked_one_after_the_other_through_a_pipe(start: Callable[..., Program]) -> None:
    program = start(*quiz())
    asked = program.lines(7)
    assert asked[0] == "3 questions of the handout of stage 1."
    assert asked[3] == "1/3 (predict) Which?"
    program.types(letter_of(asked, "That"), "?", letter_of(asked, "This"), "bcrypt", "sha256", "?", "md5")
    status, out, err = program.ends()
    assert (status, err) == (0, "")
    first, second, third = re.split(r"^./3 .*$", out, flags=re.MULTILINE)
    assert first.split("\n")[:3] == ["That is not it.", "Hint 1 of 3: one", "Right. Because."]
    assert "The name of a function is asked for.\nThat one is fast.\nHint 1 of 3: one\n" in second
    assert second.rstrip().endswith("The answer is: Argon2id\nBecause.")
    assert "which is not there yet; make it with: make stage-1 sniffer" in third
    assert third.endswith(
        "which  right, at try 2\nname   the answer was told\nframe  waits for a run of yours\n1 of 3 right.\n"
    )


def test_what_was_answered_rightly_is_remembered_and_not_asked_again(
    start: Callable[..., Program], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(["stage-1", "quiz", "--answer", "which=this", "--answer", "name=md5"]) == 1
    assert "name: The name of a function is asked for." in capsys.readouterr().out
    program = start(*quiz())
    program.types("")
    _, out, _ = program.ends()
    assert "1 of them you have answered already; --again asks them too." in out
    assert "1/2 (explain) What is it called?" in out
    assert "which  right before\n" in out
    again = start(*quiz("--again"))
    again.types("", "", "")
    assert "1/3 (predict) Which?" in again.ends()[1]


@pytest.mark.parametrize(
    ("words", "asked"),
    [(["--part", "explain"], ["name"]), (["--question", "frame"], ["frame"]), ([], ["which", "name", "frame"])],
)
def test_part_or_one_question_can_be_chosen(
    words: list[str], asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "q")
    assert lab(["stage-1", "quiz", "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["question"] for row in found["questions"]] == asked
    assert (found["right"], found["of"]) == (0, len(asked))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["quiz", "--part", "middle"], "There is no part middle; there are: predict, observe, explain, fix, further."),
        (["quiz", "--part", "fix"], "The handout of stage 1 has no questions of the part fix."),
        (["quiz", "--question", "who"], "There is no question who; there are: which, name, frame."),
        (["quiz", "--answer", "who=me"], "There is no question who; there are: which, name, frame."),
        (
            ["quiz", "--answer", "which"],
            "--answer takes NAME=ANSWER, as in nonce-reuse=the XOR of both; which is not.",
        ),
        (["hint", "who"], "Stage 1 has no question or exercise who; there are: which, name, frame, "),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(["stage-1", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1


def test_answer_about_a_run_that_is_not_there_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(["stage-1", "quiz", "--answer", "frame=46"]) == 2
    assert "make it with: make stage-1 sniffer" in capsys.readouterr().out
    assert "frame" not in progress.read().stage(1).quiz


def test_answers_given_as_options_are_summed_up_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(["stage-1", "quiz", "--json", "--answer", "which=That", "--answer", "which=This"]) == 0
    row = json.loads(capsys.readouterr().out)["questions"][0]
    assert row == {
        "question": "which",
        "part": "predict",
        "answers": ["That", "This"],
        "right": True,
        "right_before": False,
        "told": False,
        "is": "Right. Because.",
    }


def test_letters_are_drawn_anew_for_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.quiz import Wanted, _chosen

    orders = {tuple(option.text for option in _chosen(1, Wanted())["which"].order) for _ in range(200)}
    assert len(orders) == 6


def test_interrupt_and_end_of_input_end_with_what_was_right(start: Callable[..., Program]) -> None:
    for how in (signal.SIGINT, 0):
        program = start(*quiz())
        while not program.line().startswith("1/3"):
            pass
        program.lines(3)
        status, out, err = program.ends(how)
        assert (status, err) == (0, "")
        assert out.endswith("0 of 3 right.\n")


def test_quiz_can_be_taken_on_a_terminal() -> None:
    terminal = Terminal(*quiz())
    try:
        terminal.sees("1/3 (predict) Which?", ") This", ">")
        letter = next(row.strip()[0] for row in terminal.rows() if row.endswith(") This"))
        terminal.types(f"{letter}\r")
        terminal.sees("Right. Because.", "2/3 (explain) What is it called?")
        terminal.types("q\r")
        assert terminal.ends() == 0
        assert terminal.rows()[-1] == "1 of 3 right."
    finally:
        terminal.close()


def test_broken_home_does_not_end_a_quiz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress._say_once.cache_clear()
    (tmp_path / "data").write_text("in the way")
    monkeypatch.setattr("builtins.input", iter(["?", "?", "q"]).__next__)
    assert lab(["stage-1", "quiz", "--part", "explain"]) == 0
    out, err = capsys.readouterr()
    assert "Hint 1 of 3: one" in out
    assert "Hint 2 of 3: two" in out
    assert [line.split(" (")[0] for line in err.splitlines()] == [
        f"! {progress.file()} cannot be read",
        f"! {progress.file()} cannot be written",
    ]


# Hints


def test_each_hint_is_better_than_the_last_and_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    for grade, text in ((1, "one"), (2, "two"), (3, "three")):
        assert lab(["stage-1", "hint", "name"]) == 0
        assert capsys.readouterr().out.endswith(f"What is it called?\nHint {grade} of 3: {text}\n")
    assert lab(["stage-1", "hint", "name"]) == 0
    assert capsys.readouterr().out.endswith("These were all the hints there are. Hint 3 of 3: three\n")
    assert progress.read().stage(1).hints == {"name": 3}


def test_fourth_question_mark_in_a_quiz_says_that_these_were_all_the_hints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", iter(["?", "?", "?", "?", "q"]).__next__)
    assert lab(["stage-1", "quiz", "--question", "name"]) == 0
    said = [row for row in capsys.readouterr().out.splitlines() if "Hint" in row]
    assert said[2:] == ["Hint 3 of 3: three", "These were all the hints there are. Hint 3 of 3: three"]


@pytest.mark.parametrize("letter", ["c", " b)", "(A)"])
def test_letter_where_nothing_is_to_be_chosen_is_no_answer(
    letter: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", iter([letter, "q"]).__next__)
    assert lab(["stage-1", "quiz", "--question", "name"]) == 0
    assert "There is nothing to choose from here: type the answer itself" in capsys.readouterr().out
    assert "name" not in progress.read().stage(1).quiz


def test_letter_is_not_taken_for_hexadecimal_where_a_number_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lab(["stage-1", "quiz", "--answer", "frame=c"])
    out = capsys.readouterr().out
    assert "frame: There is nothing to choose from here" in out
    assert "hexadecimal" not in out


def test_hint_without_a_name_is_for_where_the_person_is(capsys: pytest.CaptureFixture[str]) -> None:
    lab(["hint"])
    assert capsys.readouterr().out.startswith("Stage 1, which\n"), "nothing is begun: the first question"
    lab(["stage-1", "hint", "--question", "frame"])
    capsys.readouterr()
    lab(["hint"])
    assert capsys.readouterr().out.startswith("Stage 1, frame\n"), "where the person was last"
    progress.note(1, question="frame", right=True)
    lab(["hint", "stage-1"])
    assert capsys.readouterr().out.startswith("Stage 1, which\n"), "what is answered needs no hint"


def test_whoever_has_hints_can_register_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hints, "SOURCES", [*hints.SOURCES, lambda stage: {"whispers": ["look", "look there", "that"]}])
    progress.note(1, at="whispers")
    assert lab(["hint"]) == 0
    assert capsys.readouterr().out == "Stage 1, whispers\nHint 1 of 3: look\n"


# A run of one's own


def test_question_about_a_run_is_answered_from_that_run_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = []
    for _ in range(2):
        assert lab(["stage-1", "sniffer", "--goal", "room", "--network", NETWORK]) == 0
        right.append(judging.answer_of(1, questions(1)["frame"]))
        assert lab(["stage-1", "quiz", "--answer", f"frame={right[-1]}"]) == 0
    first, second = sorted(Path("runs").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    monkeypatch.setattr("builtins.input", lambda *_: "q")
    assert lab(["stage-1", "quiz", "--question", "frame"]) == 0
    assert f"(In {second / 'sniffer-room.pcapng'}.)" in capsys.readouterr().out
    shutil.rmtree(second)
    assert judging.answer_of(1, questions(1)["frame"]) == right[0]
    assert lab(["stage-1", "sniffer", "--levers", "framing=none", "--goal", "room", "--network", NETWORK]) == 0
    assert judging.answer_of(1, questions(1)["frame"]) == right[0], "a run under turned levers is another one"
    for file in first.iterdir():
        file.write_bytes(b"{")
    capsys.readouterr()
    assert lab(["stage-1", "quiz", "--answer", "frame=1"]) == 2
    assert "make it with: make stage-1 sniffer" in capsys.readouterr().out
