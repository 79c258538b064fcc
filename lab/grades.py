"""Grades as they are kept: a line for each as it comes, and from these a table for people (CSV) and one for programs.

`grades-stage3.jsonl` is appended to, a whole line in one write, so that whoever interrupts a night of grading loses at
most the submission that was being graded. A later line about a student takes the place of an earlier one.
"""

import contextlib
import csv
import fcntl
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from common.errors import LabError
from common.text import printable
from lab.runs import write_text

Status = Literal["graded", "refused", "failed"]
"""refused: there was nothing that could be graded, and that is the submission's. failed: the grader could not."""

BEGINNING: Final = re.compile(r"""((?:^|[;|"'])\s*)([=+\-@\uFF1D\uFF0B\uFF0D\uFF20])""")
"""A field that begins so is computed by a spreadsheet (CWE-1236), in some also with the wide signs. And where another
separator than the comma is usual, a field ends in the middle of a text, and the next one begins there."""


class Grade(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came of one submission.

    passed: is all that was handed in, exercise, answers or both, met and right? requirements, observed: by id, what
    came of each and, where it was not met, what was seen. content, grader: what was graded, and by which state of the
    lab. seconds: how long it took.
    """

    student: str
    stage: int
    status: Status
    reason: str = ""
    passed: bool = False
    requirements: dict[str, str] = {}
    observed: dict[str, str] = {}
    answers_right: int | None = None
    answers_of: int = 0
    answers_tries: int = 0
    copied_from: str = ""
    says: str = ""
    isolated: bool = True
    network: str = ""
    seconds: float = 0.0
    content: str = ""
    grader: str = ""

    @property
    def met(self) -> int:
        """How many requirements are met."""
        return sum(status == "passed" for status in self.requirements.values())


def safe(value: object) -> str:
    """A field that a spreadsheet takes as text: where a formula could begin, an apostrophe stands before it."""
    return BEGINNING.sub(r"\1'\2", printable(str(value)))


class Ledger:
    """The lines of one stage's grades, held by one grader at a time."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.grades = {grade.student: grade for grade in _lines(file.read())}

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator["Ledger"]:
        """Raises LabError where it cannot be written, or somebody else grades into it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise LabError(f"{path} cannot be written ({error.strerror}); say where to with --out FOLDER.") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LabError(
                    f"Somebody grades into {path} already; wait for it to end, or take another --out."
                ) from None
            file.seek(0)
            yield cls(file)

    def add(self, grade: Grade) -> None:
        """Keep a grade. Raises OSError where the disk is full."""
        self.grades[grade.student] = grade
        torn = self._file.tell() > 0 and not self._ends_whole()
        self._file.write(b"\n" * torn + msgspec.json.encode(grade) + b"\n")  # unbuffered: one write, at the end
        os.fsync(self._file.fileno())

    def _ends_whole(self) -> bool:
        """Does the file end with a whole line? Whoever was killed in the middle of one left half of it."""
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"


def _lines(data: bytes) -> Iterator[Grade]:
    for line in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeError):  # the half line of an interrupted run
            yield msgspec.json.decode(line, type=Grade)


def write_tables(folder: Path, stage: int, grades: Sequence[Grade], requirements: Sequence[str]) -> list[Path]:
    """The CSV and the JSON, each whole. Raises LabError."""
    table, whole = (folder / f"grades-stage{stage}.{kind}" for kind in ("csv", "json"))
    write_text(table, as_csv(grades, requirements))
    built = {"stage": stage, "requirements": list(requirements), "grades": [_complete(grade) for grade in grades]}
    write_text(whole, msgspec.json.format(msgspec.json.encode(built)).decode())
    return [table, whole]


def _complete(grade: Grade) -> dict[str, Any]:
    return {name: getattr(grade, name) for name in grade.__struct_fields__} | {"met": grade.met}


def as_csv(grades: Sequence[Grade], requirements: Sequence[str]) -> str:
    """A row for each student; a column for each requirement (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["student", "stage", "status", "passed", "met", "of", *requirements]
    head += ["answers_right", "answers_of", "answers_tries", "copied_from", "isolated", "network", "seconds", "reason"]
    writer.writerow(head)
    for grade in grades:
        each = [grade.requirements.get(name, "") for name in requirements]
        right = "" if grade.answers_right is None else grade.answers_right
        reason = "; ".join(filter(None, (grade.reason, grade.says)))
        row = [grade.student, grade.stage, grade.status, _yes(grade.passed), grade.met, len(requirements), *each]
        row += [right, grade.answers_of, grade.answers_tries, grade.copied_from, _yes(grade.isolated), grade.network]
        writer.writerow([safe(field) for field in (*row, grade.seconds, reason)])
    return out.getvalue()


def _yes(value: bool) -> str:
    return "yes" if value else "no"
