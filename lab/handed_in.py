"""The capture lab's answers as a learner hands them in: `answers.json`, written by `questions --save`, and its check.

Only the answers count, held against the capture itself or against the instructor's key; so a learner may send any file
at all. Where there is a key, they are held against every other student's capture too: whoever copied has another's
numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from common.errors import LabError
from lab.answers import Question, Unreadable, Value
from lab.captures import Key, answers_of, sha256
from lab.question_table import QUESTIONS
from lab.runs import write_text

ANSWERS: Final = "answers.json"
LARGEST: Final = 1 << 18
"""Bytes of the largest file that is read as answers."""
COPIED_AT: Final = 2
"""So many answers that are wrong in one's own capture and right in another's are no accident."""

LETTERS, TRIES = 200, 100
"""How long an answer is kept, and how many to one question."""

_Text = Annotated[str, msgspec.Meta(max_length=LETTERS)]
_Tries = Annotated[list[_Text], msgspec.Meta(max_length=TRIES)]


class Given(msgspec.Struct):
    """What a learner handed in: every answer, in order, by question. The last one counts."""

    stage: int
    answers: Annotated[dict[_Text, _Tries], msgspec.Meta(max_length=100)]
    student: _Text = ""
    sha256: _Text = ""
    version: int = 1


@dataclass(frozen=True)
class Checked:
    """What came of answers: how many are right of how many questions there are, and what is to be said beside that.

    copied_from: the student whose capture they fit instead, with how many answers; empty if nobody's.
    """

    right: int
    questions: int
    tries: int
    copied_from: str = ""
    says: str = ""


def write(capture: Path, stage: int, student: str, answers: Mapping[str, Sequence[str]]) -> Path:
    """Keep the answers beside the capture that they are about, behind those kept before. Raises LabError."""
    file, digest = capture.with_name(ANSWERS), sha256(capture)
    before = _kept(file, digest)
    both = {name: [*before.get(name, []), *(text[:LETTERS] for text in answers.get(name, []))] for name in answers}
    given = Given(stage, {name: each[-TRIES:] for name, each in both.items() if each}, student, digest)
    write_text(file, json.dumps(msgspec.to_builtins(given), indent=2))
    return file


def _kept(file: Path, digest: str) -> dict[str, list[str]]:
    """The answers of an earlier session about the same capture; a damaged file is not worth keeping."""
    try:
        before = read(file)
    except LabError:
        return {}
    return before.answers if before.sha256 == digest else {}


def read(file: Path) -> Given:
    """Raises LabError where it is no such file."""
    try:
        if file.stat().st_size > LARGEST:
            raise LabError(f"{file.name} has more than {LARGEST} bytes, so it is no file of answers.")
        return msgspec.json.decode(file.read_bytes(), type=Given)
    except OSError as error:
        raise LabError(f"{file.name} cannot be read ({error.strerror}).") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise LabError(f"{file.name} is not what `questions --save` writes.") from None


def check(given: Given, right: Mapping[str, Sequence[Value]]) -> Checked:
    """Hold answers against what is right in one capture."""
    questions = {question.name: question for question in QUESTIONS}
    good = sum(_is_right(questions[name], given, values) for name, values in right.items() if name in questions)
    return Checked(good, len(right), sum(len(answers) for name, answers in given.answers.items() if name in right))


def check_own(given: Given, capture: Path) -> Checked:
    """Hold answers against the capture that was handed in with them. Raises LabError."""
    return check(given, answers_of(capture))


def check_with_key(given: Given, student: str, key: Key) -> Checked:
    """Hold answers against this student's capture, and against every other's. Raises LabError."""
    if student not in key.captures:
        raise LabError(f"No capture was made for {student}.")
    own = key.captures[student]
    checked = check(given, own.answers)
    says = []
    owner = next((name for name, made in key.captures.items() if made.sha256 == given.sha256), "")
    if owner and owner != student:
        says.append(f"the file names {owner}'s capture")
    best, fits = "", 0
    for other, made in key.captures.items():
        if other != student and (n := _only_there(given, own.answers, made.answers)) > fits:
            best, fits = other, n
    if fits < COPIED_AT:
        best = ""
    if best:
        says.append(f"{fits} answers are wrong here and right in {best}'s capture")
    return Checked(checked.right, checked.questions, checked.tries, best, "; ".join(says))


def _only_there(given: Given, own: Mapping[str, Sequence[Value]], others: Mapping[str, Sequence[Value]]) -> int:
    """How many answers are wrong in one's own capture and right in another's."""
    questions = {question.name: question for question in QUESTIONS}
    return sum(
        _is_right(questions[name], given, others[name]) and not _is_right(questions[name], given, own.get(name, ()))
        for name in others
        if name in questions
    )


def _is_right(question: Question, given: Given, right: Sequence[Value]) -> bool:
    answers = given.answers.get(question.name, [])
    try:
        return bool(answers) and question.read(answers[-1]) in right
    except Unreadable:
        return False
