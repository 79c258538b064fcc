"""`lab grade FOLDER`: submissions, a subfolder for each student, graded into CSV and JSON.

    lab grade submissions --stage 3
    lab grade submissions --stage 1 --captures captures --secret FILE        also the capture lab's answers

Each submission is read once (`lab.submissions`), copied, and graded in a process of its own that shares nothing with
the others (`lab.grade_one`). What was graded already, by the same lab, and has not changed since, is not graded again;
so whatever is interrupted is simply started again. Exit status 0 when every submission was judged, 1 where the grader
failed on one: a broken submission is judged, a grader that ran out of time is not.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from common.errors import LabError
from common.text import printable
from lab import handed_in, submissions
from lab.captures import Key
from lab.exercise import declared
from lab.facts import CLIENT_FILE
from lab.grades import Grade, Ledger, write_tables
from lab.report import Report
from lab.runs import ROOT
from lab.submissions import Refused, Submission
from stages import Stage

GRACE: Final = 10.0
"""Seconds that a grader has to take down what it started, once it is told to give up."""
MOST_OUTPUT: Final = 4 << 20
MOST_SAID: Final = 500
"""How many characters of what was seen of a submission are kept, and told: some of them are its author's."""
NOT_ALL: Final = 1
"""The exit status where the grader failed on a submission, or something could not be graded by its name."""

Grader = Callable[[Path], Awaitable[dict[str, Any]]]
"""Given a copy of a submission, returns what `lab.grade_one` prints."""


@dataclass(frozen=True)
class Wishes:
    """What to grade, with what, and where to. limit: seconds for one submission."""

    stage: Stage
    folder: Path
    out: Path
    key: Key | None = None
    jobs: int = 1
    limit: float = 300.0
    again: bool = False
    network: str = "auto"
    as_json: bool = False


async def run(wishes: Wishes, grader: Grader | None = None) -> int:
    """Grade what has to be graded and write the tables. Raises LabError. Returns the exit status."""
    from rich.markup import escape
    from rich.progress import Progress

    report = Report(quiet=wishes.as_json)
    students, left_out = submissions.students(wishes.folder)
    for sentence in left_out:
        report.line(f"! {sentence}", "yellow")
    work = _Work(wishes, grader or _child(wishes))
    with Ledger.open(wishes.out / f"grades-stage{wishes.stage.number}.jsonl") as ledger:
        try:
            with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
                task = progress.add_task("grading", total=len(students))
                turn = asyncio.Semaphore(wishes.jobs)

                async def one(student: str) -> None:
                    async with turn:
                        progress.update(task, description=f"grading {escape(student[:30])}")
                        if grade := await work.grade(student, ledger.grades.get(student)):
                            ledger.add(grade)
                            report.line(_line(grade))
                        progress.advance(task)

                async with asyncio.TaskGroup() as group:
                    for student in students:
                        group.create_task(one(student))
        finally:  # also after Ctrl-C: what there is so far
            grades = [ledger.grades[name] for name in students if name in ledger.grades]
            files = write_tables(wishes.out, wishes.stage.number, grades, work.requirements)
    _close(report, wishes, grades, work.graded, files, left_out)
    return NOT_ALL if left_out or any(grade.status == "failed" for grade in grades) else 0


class _Work:
    """Grades one submission after the other."""

    def __init__(self, wishes: Wishes, grader: Grader) -> None:
        self.wishes = wishes
        self.grader = grader
        self.requirements = requirements_of(wishes.stage)
        self.graded = 0

    async def grade(self, student: str, before: Grade | None) -> Grade | None:
        """A new grade, or None where the one before still holds."""
        stage, began = self.wishes.stage.number, time.perf_counter()
        grade = Grade(student=student, stage=stage, status="graded", grader=self._grader_of(student))
        try:
            submission = await asyncio.to_thread(submissions.read, self.wishes.folder, student, stage)
            grade.content = submission.content
            if _holds(before, grade) and not self.wishes.again:
                return None
            await self._graded(submission, grade)
        except Refused as why:
            grade.status, grade.reason = "refused", str(why)
            if _holds(before, grade) and not self.wishes.again and before and before.reason == grade.reason:
                return None
        self.graded += 1
        grade.seconds = round(time.perf_counter() - began, 1)
        return grade

    def _grader_of(self, student: str) -> str:
        """Which lab, and which key for this student: another grades anew."""
        made = self.wishes.key.captures.get(student) if self.wishes.key else None
        known = msgspec.json.encode(made) if made else b"" if self.wishes.key is None else b"none"
        return hashlib.sha256(state_of_the_lab() + known).hexdigest()[:16]

    async def _graded(self, submission: Submission, grade: Grade) -> None:
        """Fill in the grade. Raises Refused."""
        answers = submission.named(handed_in.ANSWERS)
        exercise = bool(submission.sources) and bool(self.requirements)
        if not (answers or exercise):
            raise Refused(_nothing(submission, self.wishes.stage.number))
        with tempfile.TemporaryDirectory(prefix="grade-") as made:
            if answers:
                self._answers(submission, answers, Path(made), grade)
            if exercise:
                await self._exercise(submission, Path(made) / "submission", grade)
        met = not exercise or (bool(grade.requirements) and grade.met == len(grade.requirements))
        right = not answers or grade.answers_right == grade.answers_of > 0
        grade.passed = grade.status == "graded" and met and right

    def _answers(self, submission: Submission, answers: bytes, folder: Path, grade: Grade) -> None:
        """Check the capture lab's answers, against the key or else against the capture that came with them."""
        (folder / handed_in.ANSWERS).write_bytes(answers)
        grade.answers_right = 0
        try:
            given = handed_in.read(folder / handed_in.ANSWERS)
            if given.stage != submission.stage:
                raise LabError(f"its answers are about stage {given.stage}")
            if self.wishes.key:
                checked = handed_in.check_with_key(given, submission.student, self.wishes.key)
            elif capture := submission.named(CLIENT_FILE):
                (folder / CLIENT_FILE).write_bytes(capture)
                checked = handed_in.check_own(given, folder / CLIENT_FILE)
                grade.says = "whose capture it is was not looked at (--captures, --secret)"
            else:
                raise LabError(f"there is no {CLIENT_FILE} beside its answers, and no key was given (--captures)")
        except LabError as why:
            grade.says = printable(str(why).replace(str(folder), "."))
            return
        grade.answers_right, grade.answers_of, grade.answers_tries = checked.right, checked.questions, checked.tries
        grade.copied_from = checked.copied_from
        grade.says = "; ".join(filter(None, (grade.says, checked.says)))

    async def _exercise(self, submission: Submission, folder: Path, grade: Grade) -> None:
        """Check a copy of the exercise in a process of its own."""
        for path, data in submission.sources.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        found = await self.grader(folder)
        if "outcome" not in found:
            grade.status, grade.reason = (
                "failed",
                printable(str(found.get("error", "the grader said nothing")))[:MOST_SAID],
            )
            return
        outcome = found["outcome"]
        grade.requirements = {one["id"]: one["status"] for one in outcome["requirements"]}
        failed = (one for one in outcome["requirements"] if one["status"] != "passed")
        grade.observed = {one["id"]: printable(one["observed"])[:MOST_SAID] for one in failed}
        grade.isolated, grade.network = outcome["isolated"], outcome["network"]
        grade.reason = next((f"{name}: {seen}" for name, seen in grade.observed.items()), "")


def requirements_of(stage: Stage) -> list[str]:
    """The ids of an exercise's requirements; none where the stage has no exercise."""
    try:
        return [one.id for one in declared.exercise(stage.number).requirements]
    except LabError:
        return []


def _nothing(submission: Submission, stage: int) -> str:
    if submission.sources:
        return f"there is no exercise for stage {stage}, and no {handed_in.ANSWERS} in it"
    return f"there is neither an exercise of stage {stage} (no client.py) nor {handed_in.ANSWERS} in it"


def _holds(before: Grade | None, grade: Grade) -> bool:
    """Is a grade from before still true? One on which the grader failed is not."""
    same = before is not None and (before.content, before.grader) == (grade.content, grade.grader)
    return same and before is not None and before.status != "failed"


@cache
def state_of_the_lab() -> bytes:
    """A hash over everything that grades: what was graded by other rules has to be graded again."""
    digest = hashlib.sha256()
    for floor in ("common", "stages", "attacks", "lab"):
        for file in sorted((ROOT / floor).rglob("*")):
            if file.suffix in (".py", ".toml") and "__pycache__" not in file.parts:
                digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.digest()


def _child(wishes: Wishes) -> Grader:
    """A grader that starts a process for each submission, and ends it when its time is over."""

    async def grade(folder: Path) -> dict[str, Any]:
        out, err = folder.with_name("out"), folder.with_name("err")
        command = (sys.executable, "-m", "lab.grade_one", str(wishes.stage.number), str(folder), wishes.network)
        with out.open("wb") as to, err.open("wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=to,
                stderr=complaints,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(wishes.limit):
                await process.wait()
        except TimeoutError:
            return {"error": f"it was not graded within {wishes.limit:g} s"}
        finally:
            await _end(process)
        return _parsed(process.returncode, out, err)

    return grade


async def _end(process: asyncio.subprocess.Process) -> None:
    """Tell a grader to give up, and where it does not, kill it and all that it started."""
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _parsed(status: int | None, out: Path, err: Path) -> dict[str, Any]:
    try:
        found = json.loads(_beginning(out))
    except ValueError:
        last = _beginning(err).decode(errors="replace").strip().splitlines()[-1:]
        return {"error": f"the grader ended with status {status}" + "".join(f" ({line[:200]})" for line in last)}
    return found if isinstance(found, dict) else {"error": "the grader said something else"}


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MOST_OUTPUT)


def _line(grade: Grade) -> str:
    """One submission as it is told."""
    words = {"graded": "passed" if grade.passed else "not passed", "refused": "refused", "failed": "NOT GRADED"}
    met = f"{grade.met} of {len(grade.requirements)} requirements" if grade.requirements else ""
    right = f"{grade.answers_right} of {grade.answers_of} answers" if grade.answers_right is not None else ""
    about = "; ".join(filter(None, (met, right, grade.reason, grade.says)))
    return f"{grade.student[:80]:<24} {words[grade.status]:<11} {about[:MOST_SAID]}".rstrip()


def _close(
    report: Report, wishes: Wishes, grades: list[Grade], graded: int, files: list[Path], left_out: list[str]
) -> None:
    """What was done, in a few lines, or as one object."""
    passed, failed = sum(grade.passed for grade in grades), [g.student for g in grades if g.status == "failed"]
    report.line(f"{len(grades)} submissions, {graded} graded now, {passed} passed. {' and '.join(map(str, files))}")
    if any(not grade.isolated for grade in grades if grade.requirements):
        report.line("! Grading was not isolated: here are no namespaces, so submissions ran as you.", "yellow")
    if failed:
        report.line(f"Not graded: {', '.join(failed)}; start it again for these.", "bold yellow")
    if wishes.as_json:
        counts = {
            "submissions": len(grades),
            "graded_now": graded,
            "passed": passed,
            "not_graded": failed,
            "left_out": left_out,
        }
        print(json.dumps({**counts, "files": [str(file) for file in files]}))
