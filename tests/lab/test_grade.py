"""Grading a folder of submissions: every one ends as one row, and nothing that was graded is lost."""

import asyncio
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stages
from common.errors import LabError
from lab import captures, grade, submissions
from lab.captures import Key
from lab.cli import run as lab
from lab.facts import CLIENT_FILE
from lab.grade import Grader, Wishes
from lab.grades import Grade, Ledger, as_csv, safe
from lab.runs import ROOT
from lab.students import Secret
from lab.submissions import Refused

NETWORK = os.environ.get("NETWORK") or "auto"
SECRET = Secret(b"s" * 32)
STAGE = stages.find(3)
NEEDED = {"client.py": "# a client", "__init__.py": "", "server.py": "", "what_if/__init__.py": ""}


def hand_in(folder: Path, student: str, files: dict[str, str] | None = None, at: str = "stage3") -> Path:
    """A submission with these files."""
    for path, text in (NEEDED if files is None else files).items():
        file = folder / student / at / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / student / at


def outcome(statuses: dict[str, str]) -> dict[str, Any]:
    """What `lab.grade_one` would print."""
    rows = [{"id": name, "status": status, "observed": f"saw {name}"} for name, status in statuses.items()]
    return {"outcome": {"requirements": rows, "isolated": True, "network": "lan"}}


class Stand:
    """Stands in for the exercise: passes whatever holds the word `right`, and counts."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, folder: Path) -> dict[str, Any]:
        text = (folder / "client.py").read_text()
        self.seen.append(text)
        if "crash" in text:
            return {"error": "the grader ended with status -9"}
        names = grade.requirements_of(STAGE)
        return outcome(dict.fromkeys(names, "passed" if "right" in text else "failed"))


def graded(folder: Path, grader: Grader, **given: Any) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and the CSV's rows by student."""
    wishes = Wishes(given.pop("stage", STAGE), folder, given.pop("out", folder), **given)
    status = asyncio.run(grade.run(wishes, grader))
    table = (wishes.out / f"grades-stage{wishes.stage.number}.csv").read_text()
    return status, {row["student"]: row for row in csv.DictReader(io.StringIO(table))}


def test_each_submission_is_one_row(tmp_path: Path) -> None:
    hand_in(tmp_path, "ada", NEEDED | {"client.py": "right"})
    hand_in(tmp_path, "ben", at="work/stage3")
    hand_in(tmp_path, "cem", NEEDED | {"client.py": "right"}, at=".")
    status, rows = graded(tmp_path, Stand(), jobs=2)
    assert status == 0
    assert {name: row["passed"] for name, row in rows.items()} == {"ada": "yes", "ben": "no", "cem": "yes"}
    first = grade.requirements_of(STAGE)[0]
    assert (rows["ada"][first], rows["ben"][first]) == ("passed", "failed")
    assert rows["ben"]["reason"] == f"{first}: saw {first}"
    whole = json.loads((tmp_path / "grades-stage3.json").read_text())
    assert [row["student"] for row in whole["grades"]] == ["ada", "ben", "cem"]
    assert whole["grades"][1]["observed"][first] == f"saw {first}"


def links_to_a_secret(at: Path) -> None:
    (at / "room_key.py").symlink_to("/etc/hostname")


def links_a_folder(at: Path) -> None:
    (at / "more").symlink_to("/etc")


def never_ends(at: Path) -> None:
    os.mkfifo(at / "room_key.py")


def is_huge(at: Path) -> None:
    with (at / "room_key.py").open("wb") as file:
        file.truncate(submissions.MOST_BYTES + 1)


def has_many_files(at: Path) -> None:
    for number in range(submissions.MOST_ENTRIES + 1):
        (at / f"{number}.txt").touch()


def is_deep(at: Path) -> None:
    (at / "/".join("d" * 12)).mkdir(parents=True)


def is_empty(at: Path) -> None:
    for file in (*at.rglob("*.py"),):
        file.unlink()


def lacks_a_client(at: Path) -> None:
    (at / "client.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (links_to_a_secret, "stage3/room_key.py is a symbolic link"),
        (links_a_folder, "stage3/more is a symbolic link"),
        (never_ends, "room_key.py is no ordinary file"),
        (is_huge, "it has more than 8 MiB"),
        (has_many_files, "it has more than 2000 files and folders"),
        (is_deep, "lies too deep"),
        (is_empty, "it is empty: there is neither an exercise nor answers.json in it"),
        (lacks_a_client, "there is neither an exercise of stage 3 (no client.py) nor answers.json in it"),
    ],
)
def test_submission_that_cannot_be_graded_is_a_row_with_the_reason(
    spoil: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    spoil(hand_in(tmp_path, "bad"))
    hand_in(tmp_path, "good", NEEDED | {"client.py": "right"})
    stand = Stand()
    status, rows = graded(tmp_path, stand)
    assert status == 0
    assert stand.seen == ["right"], "what is refused is never run"
    assert rows["bad"]["status"] == "refused"
    assert reason in rows["bad"]["reason"]
    assert rows["good"]["passed"] == "yes"


def test_submission_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    hand_in(tmp_path / "elsewhere", "ada")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/ada").symlink_to(tmp_path / "elsewhere/ada")
    _, rows = graded(tmp_path / "in", Stand())
    assert rows["ada"]["reason"] == "it is a symbolic link, and not a folder"


def test_what_comes_along_by_itself_is_passed_over(tmp_path: Path) -> None:
    at = hand_in(tmp_path, "ada")
    (at / ".venv").mkdir()
    (at / ".venv/python").symlink_to("/usr/bin/python3")
    (at / "__pycache__").mkdir()
    (at / "__pycache__/x.py").write_text("")
    found = submissions.read(tmp_path, "ada", 3)
    assert set(found.sources) == set(NEEDED)


def test_what_was_graded_already_is_not_graded_again(tmp_path: Path) -> None:
    hand_in(tmp_path, "ada", NEEDED | {"client.py": "right"})
    hand_in(tmp_path, "ben")
    (tmp_path / "cem").mkdir()
    stand = Stand()
    before = graded(tmp_path, stand)
    assert graded(tmp_path, stand) == before
    assert len(stand.seen) == 2
    hand_in(tmp_path, "ben", NEEDED | {"client.py": "right now"})
    _, rows = graded(tmp_path, stand)
    assert stand.seen[2:] == ["right now"]
    assert rows["ben"]["passed"] == "yes"
    graded(tmp_path, stand, again=True)
    assert len(stand.seen) == 5


def test_other_rules_grade_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_in(tmp_path, "ada")
    stand = Stand()
    graded(tmp_path, stand)
    monkeypatch.setattr(grade, "state_of_the_lab", lambda: b"another state")
    graded(tmp_path, stand)
    assert len(stand.seen) == 2


def test_grader_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    hand_in(tmp_path, "ada", NEEDED | {"client.py": "crash"})
    stand = Stand()
    for _ in range(2):
        status, rows = graded(tmp_path, stand)
        assert status == 1
        assert rows["ada"]["status"] == "failed"
        assert rows["ada"]["reason"] == "the grader ended with status -9"
    assert len(stand.seen) == 2


def test_grading_that_is_interrupted_keeps_what_it_has(tmp_path: Path) -> None:
    for name in ("ada", "ben"):
        hand_in(tmp_path, name, NEEDED | {"client.py": f"right, {name}"})
    stand = Stand()

    async def until_ben(folder: Path) -> dict[str, Any]:
        found = await stand(folder)
        if "ben" in stand.seen[-1]:
            raise KeyboardInterrupt
        return found

    with pytest.raises(KeyboardInterrupt):
        graded(tmp_path, until_ben)
    assert "ada" in (tmp_path / "grades-stage3.csv").read_text()
    graded(tmp_path, stand)
    assert [text for text in stand.seen if "ada" in text] == ["right, ada"]
    assert stand.seen[-1] == "right, ben"


def test_half_a_line_costs_one_grade_only(tmp_path: Path) -> None:
    file = tmp_path / "grades-stage3.jsonl"
    with Ledger.open(file) as ledger:
        ledger.add(Grade(student="ada", stage=3, status="graded"))
        ledger.add(Grade(student="ben", stage=3, status="graded"))
    file.write_bytes(file.read_bytes()[:-20])
    with Ledger.open(file) as ledger:
        assert set(ledger.grades) == {"ada"}
        ledger.add(Grade(student="cem", stage=3, status="graded"))
    with Ledger.open(file) as ledger:
        assert set(ledger.grades) == {"ada", "cem"}


def test_two_graders_do_not_write_into_one_file(tmp_path: Path) -> None:
    file = tmp_path / "grades-stage3.jsonl"
    with Ledger.open(file), pytest.raises(LabError, match="Somebody grades into"), Ledger.open(file):
        pass


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)"])
def test_csv_holds_no_formula(text: str) -> None:
    assert safe(text) == f"'{text}"
    table = as_csv([Grade(student=text, stage=3, status="refused", reason=text)], [])
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert row["student"] == row["reason"] == f"'{text}"


def test_csv_holds_no_field_that_ends_a_row_or_begins_with_a_tab() -> None:
    table = as_csv([Grade(student="a", stage=3, status="refused", reason="\t=1\r\n=2")], [])
    assert table.count("\n") == 2
    assert not {"\t", "\r"} & set(table)


@pytest.mark.parametrize("text", ["seen; =1+1", "x;@SUM(A1)", "a|+1", 'x"=1', "\uff1d1", " =1"])
def test_csv_holds_no_formula_behind_another_separator(text: str) -> None:
    assert re.search(r"""(^|[;|"])\s*[=+@\uff1d-]""", safe(text)) is None


def test_csv_leaves_other_text_alone() -> None:
    assert [safe(text) for text in ("ada", "3-1", 7, "a=b")] == ["ada", "3-1", "7", "a=b"]


def test_folder_whose_name_cannot_be_shown_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ("\x1b[2Jada", "\u200bada", "\x1b[2Jada\u202e")
    for name in (*odd, "ada"):
        hand_in(tmp_path, name)
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    status, rows = graded(tmp_path, Stand())
    assert (status, list(rows)) == (grade.NOT_ALL, ["ada"])
    out = capsys.readouterr().out
    assert out.count("its name has characters that cannot be shown") == len(odd) + 1
    assert "\x1b" not in out + (tmp_path / "grades-stage3.csv").read_text()


def test_names_that_are_shown_alike_are_not_one_student(tmp_path: Path) -> None:
    hand_in(tmp_path, "a\u200bda", NEEDED | {"client.py": "right"})
    hand_in(tmp_path, "a\ufffdda")
    for seen in (1, 0):  # the second time there is nothing to do: neither took the other's place
        stand = Stand()
        _, rows = graded(tmp_path, stand)
        assert {name: row["passed"] for name, row in rows.items()} == {"a\ufffdda": "no"}
        assert len(stand.seen) == seen


def test_names_that_differ_in_case_are_two_students(tmp_path: Path) -> None:
    for name, text in {"Ada": "right", "ada": "wrong"}.items():
        hand_in(tmp_path, name, NEEDED | {"client.py": text})
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("names on this file system do not differ by case")
    _, rows = graded(tmp_path, Stand())
    assert {name: row["passed"] for name, row in rows.items()} == {"Ada": "yes", "ada": "no"}


def test_what_is_no_folder_is_told_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(tmp_path, "ada")
    (tmp_path / "ben.zip").write_bytes(b"PK")
    os.mkfifo(tmp_path / "cem")
    (tmp_path / "roster.csv").write_text("student\n")
    status, rows = graded(tmp_path, Stand(), as_json=True)
    assert (status, list(rows)) == (grade.NOT_ALL, ["ada"])
    told = json.loads(capsys.readouterr().out)["left_out"]
    assert [sentence.partition(" ")[0] for sentence in told] == ["ben.zip", "cem"]


def test_what_a_submission_says_is_bounded_wherever_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def says_much(folder: Path) -> dict[str, Any]:
        said = "x; =HYPERLINK(1)\x1b]0;title\x07[link=file:///]" * 1000
        rows = [{"id": "works", "status": "failed", "observed": said}]
        return {"outcome": {"requirements": rows, "isolated": True, "network": "lan"}}

    async def fails(folder: Path) -> dict[str, Any]:
        return {"error": "\x1b[2J" * 1000}

    for number, grader in enumerate((says_much, fails)):
        hand_in(tmp_path / str(number), "[red]ada")
        graded(tmp_path / str(number), grader)
        written = "".join(file.read_text() for file in (tmp_path / str(number)).glob("grades-*"))
        assert "\x1b" not in written + capsys.readouterr().out
        assert len(written) < 12 * grade.MOST_SAID  # in three files, in two of them twice


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of the capture lab for two students."""
    out = tmp_path_factory.mktemp("captures")
    asyncio.run(captures.make(captures.Wishes(["ada", "ben"], stages.find(1), SECRET, out, NETWORK)))
    return out


def answers(key: Key, student: str, stage: int = 1) -> str:
    right = {name: [str(values[0])] for name, values in key.captures[student].answers.items()}
    return json.dumps({"stage": stage, "answers": right})


def test_answers_of_the_capture_lab_are_graded_against_the_key(made: Path, tmp_path: Path) -> None:
    key = captures.read_key(made, SECRET, 1)
    hand_in(tmp_path, "ada", {"answers.json": answers(key, "ada")}, at=".")
    hand_in(tmp_path, "ben", {"answers.json": answers(key, "ada")}, at=".")
    hand_in(tmp_path, "cem", {"answers.json": answers(key, "ada")}, at=".")
    hand_in(tmp_path, "dee", {"answers.json": "[" * 5000}, at=".")
    status, rows = graded(tmp_path, Stand(), stage=stages.find(1), key=key)
    assert status == 0
    assert rows["ada"]["passed"] == "yes"
    assert rows["ada"]["answers_right"] == rows["ada"]["answers_of"] != "0"
    assert rows["ben"]["copied_from"] == "ada"
    assert rows["ben"]["passed"] == "no"
    assert rows["cem"]["reason"] == "No capture was made for cem."
    assert rows["cem"]["passed"] == "no"
    assert rows["dee"]["reason"] == "answers.json is not what `questions --save` writes."
    assert rows["dee"]["passed"] == "no"


def test_answers_without_a_key_are_held_against_the_capture_beside_them(made: Path, tmp_path: Path) -> None:
    key = captures.read_key(made, SECRET, 1)
    hand_in(tmp_path, "ada", {"answers.json": answers(key, "ada")}, at="lab")
    (tmp_path / "ada/lab" / CLIENT_FILE).write_bytes((made / "ada" / CLIENT_FILE).read_bytes())
    hand_in(tmp_path, "ben", {"answers.json": answers(key, "ben")}, at=".")
    hand_in(tmp_path, "cem", {"answers.json": answers(key, "ben", stage=2)}, at=".")
    _, rows = graded(tmp_path, Stand(), stage=stages.find(1))
    assert rows["ada"]["passed"] == "yes"
    assert "whose capture it is was not looked at" in rows["ada"]["reason"]
    assert "there is no client1.pcapng beside its answers" in rows["ben"]["reason"]
    assert "its answers are about stage 2" in rows["cem"]["reason"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["grade", "none"], "none is no folder of submissions (No such file or directory)"),
        (["grade", "."], ". has no submissions in it: a subfolder for each student is expected."),
        (["grade", ".", "--stage", "99"], "There is no stage-99"),
        (["grade", ".", "--captures", "."], "This needs the instructor's secret"),
    ],
)
def test_grading_that_cannot_be_is_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_SECRET_FILE", raising=False)
    assert lab(words) == 2
    assert capsys.readouterr().err.startswith(sentence)


# The real thing: the exercise of stage 3, in processes


def workspace(folder: Path, student: str, change: Callable[[str], str] = lambda text: text) -> None:
    """The reference of stage 3 as a submission, its room_key.py changed."""
    for path in STAGE.folder.rglob("*.py"):
        target = folder / student / "stage3" / path.relative_to(STAGE.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        target.write_text(change(text) if path.name == "room_key.py" else text)


HOSTILE = 'import os\nprint(\'{"outcome": {"requirements": []}}\', flush=True)\nos._exit(0)\n'


def test_right_wrong_and_hostile_submissions_are_told_apart(tmp_path: Path) -> None:
    workspace(tmp_path, "right")
    workspace(tmp_path, "wrong", lambda text: text.replace("nonce = os.urandom(NONCE_BYTES)", "nonce = bytes(12)"))
    workspace(tmp_path, "hostile", lambda text: HOSTILE + text)
    wishes = Wishes(STAGE, tmp_path, tmp_path, network=NETWORK)
    assert asyncio.run(grade.run(wishes)) == 0
    rows = {row["student"]: row for row in json.loads((tmp_path / "grades-stage3.json").read_text())["grades"]}
    assert {name: row["passed"] for name, row in rows.items()} == {"right": True, "wrong": False, "hostile": False}
    assert [name for name, status in rows["wrong"]["requirements"].items() if status == "failed"] == ["nonce-fresh"]
    assert rows["hostile"]["requirements"]["works"] == "failed"


def test_grading_that_is_killed_is_taken_up_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "a-empty").mkdir()
    workspace(tmp_path, "b-right")
    command = [sys.executable, "-m", "lab", "grade", str(tmp_path), "--stage", "3", "--network", NETWORK]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("a-empty")  # and now the second one is being graded
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert "b-right" in done.stdout
    assert "2 submissions, 1 graded now, 1 passed." in done.stdout


def test_submission_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    workspace(tmp_path, "slow", lambda text: f"import time\ntime.sleep(30)\n{text}")
    began = time.monotonic()
    wishes = Wishes(STAGE, tmp_path, tmp_path, network=NETWORK, limit=2.0)
    assert asyncio.run(grade.run(wishes)) == 1
    assert time.monotonic() - began < 2.0 + grade.GRACE
    (row,) = json.loads((tmp_path / "grades-stage3.json").read_text())["grades"]
    assert (row["status"], row["reason"]) == ("failed", "it was not graded within 2 s")


def test_refusal_of_reading_is_the_submissions(tmp_path: Path) -> None:
    (tmp_path / "ada").write_text("a file")
    with pytest.raises(Refused):
        submissions.read(tmp_path, "ada", 3)
