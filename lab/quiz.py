"""`lab stage-1 quiz`: the handout's questions in a terminal, through a pipe, or answered by options.

What was answered rightly is remembered in the person's progress and not asked again, unless --again is given. `?` gives
a hint, each time a better one. After the third wrong answer the right one is told; the next time the question comes
back. The options of a choice stand in an order drawn anew for every run, so that "b" is nobody else's b.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, Final

from common.errors import LabError
from common.text import printable
from lab import hints, progress
from lab.answers import Unreadable
from lab.asking import NOT_RIGHT, STOP, TELL_AT, lines, outcome, pairs, say
from lab.judging import answer_of, judge, run_of
from lab.last_run import Absent
from lab.question_file import PARTS, Option, Question, questions
from lab.report import Report

NOT_CHECKED: Final = 2
"""The exit status where an answer that was given cannot be checked: there is no such run yet."""


@dataclass
class Asked:
    """A question in this run, and all that was answered to it."""

    question: Question
    before: bool = False
    """Was it answered rightly in an earlier run?"""
    order: Sequence[Option] = ()
    answers: list[str] = field(default_factory=list)
    right: bool = False
    told: bool = False
    says: str = ""
    absent: bool = False
    """Does it ask about a run that is not there?"""

    @property
    def over(self) -> bool:
        """Is nothing left to ask?"""
        return self.right or self.told

    def __str__(self) -> str:
        waits = "waits for a run of yours" if self.absent else "not answered"
        return outcome(len(self.answers), right=self.right, told=self.told) or (
            "right before" if self.before else waits
        )

    def to_json(self) -> dict[str, Any]:
        """As --json has it."""
        return {
            "question": self.question.id,
            "part": self.question.part,
            "answers": self.answers,
            "right": self.right,
            "right_before": self.before,
            "told": self.told,
            "is": self.says,
        }


@dataclass(frozen=True)
class Wanted:
    """Which questions: of one part, or one alone; also those that are answered already."""

    part: str = ""
    question: str = ""
    again: bool = False


def run(stage: int, wanted: Wanted, given: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Ask, or check what was given as `id=answer`, and say at the end what was right. Returns the exit status.

    Raises LabError where there are no such questions.
    """
    report = Report(quiet=as_json)
    asked = _chosen(stage, wanted)
    if given:
        _check(stage, asked, given, report)
    else:
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            _ask_all(stage, asked, wanted, report, on_terminal=not as_json)
    right = sum(each.right or each.before for each in asked.values())
    _results(asked, right, report)
    if as_json:
        rows = [each.to_json() for each in asked.values()]
        print(json.dumps({"stage": stage, "right": right, "of": len(asked), "questions": rows}))
    if not given:
        return 0
    if any(each.answers and not each.right for each in asked.values()):
        return NOT_RIGHT
    return NOT_CHECKED if any(each.absent for each in asked.values()) else 0


def _chosen(stage: int, wanted: Wanted) -> dict[str, Asked]:
    there = questions(stage)
    if not there:
        raise LabError(f"Stage {stage} has no questions yet; a handout's stand in its quiz.toml.")
    if wanted.question and wanted.question not in there:
        raise LabError(f"There is no question {printable(wanted.question)}; there are: {', '.join(there)}.")
    if wanted.part and wanted.part not in PARTS:
        raise LabError(f"There is no part {printable(wanted.part)}; there are: {', '.join(PARTS)}.")
    answered = progress.known().stage(stage).quiz
    chosen = {
        name: Asked(question, before=name in answered and bool(answered[name].right), order=_drawn(question))
        for name, question in there.items()
        if wanted.question in ("", name) and wanted.part in ("", question.part)
    }
    if not chosen:
        raise LabError(f"The handout of stage {stage} has no questions of the part {wanted.part}.")
    return chosen


def _drawn(question: Question) -> Sequence[Option]:
    return SystemRandom().sample(question.option, len(question.option))


def _check(stage: int, asked: dict[str, Asked], given: Sequence[str], report: Report) -> None:
    """What came as options; a choice is given by its words there, since its letters are drawn. Raises LabError."""
    answers = pairs(given, "nonce-reuse=the XOR of both")
    for name, _ in answers:
        if name not in asked:
            raise LabError(f"There is no question {printable(name)}; there are: {', '.join(asked)}.")
    for name, answer in answers:
        each = asked[name]
        each.order = ()
        say(report, f"{name}: {_judged(stage, each, answer)}")


def _judged(stage: int, each: Asked, answer: str) -> str:
    """What is said of an answer; it is remembered, unless it is none."""
    question = each.question
    try:
        judged = judge(stage, question, answer, each.order)
    except (Unreadable, Absent) as why:
        each.absent = isinstance(why, Absent)
        each.says = str(why)
        return each.says
    each.answers.append(answer)
    each.right = judged.right
    each.told = not judged.right and len(each.answers) >= TELL_AT
    told = f"The answer is: {answer_of(stage, question)}\n{question.why}" if each.told else ""
    each.says = f"Right. {question.why}" if judged.right else "\n".join(filter(None, (judged.says, told)))
    progress.note(stage, question=question.id, right=judged.right, told=each.told)
    return each.says


def _ask_all(stage: int, asked: dict[str, Asked], wanted: Wanted, report: Report, *, on_terminal: bool) -> None:
    """Ask one question after the other."""
    read = lines(on_terminal=on_terminal)
    everything = wanted.again or bool(wanted.question)
    due = [each for each in asked.values() if everything or not each.before]
    skipped = len(asked) - len(due)
    say(report, f"{len(asked)} question{'s' * (len(asked) != 1)} of the handout of stage {stage}.")
    if skipped:
        say(report, f"{skipped} of them you have answered already; --again asks them too.")
    if due:
        say(report, "Enter skips one, ? gives a hint, q ends it.")
    for number, each in enumerate(due, 1):
        report.line()
        _show(report, f"{number}/{len(due)} ({each.question.part}) ", each)
        progress.note(stage, at=each.question.id)
        _ask(stage, each, report, read)


def _show(report: Report, before: str, each: Asked) -> None:
    several = " (Choose all that hold.)" if each.question.several else ""
    say(report, f"{before}{each.question.asks.strip()}{several}", "bold")
    for letter, option in zip("abcde", each.order, strict=False):
        report.paragraph(f"  {letter}) {option.text}", indent="     ")


def _ask(stage: int, each: Asked, report: Report, read: Any) -> None:
    """One question, until it is answered, told or skipped. Raises EOFError where the person has had enough."""
    if each.question.kind == "run":
        say(report, _about(stage, each), "yellow" if each.absent else "")
    if each.absent:
        return
    grade = 0
    while not each.over:
        answer = read().strip()
        if answer.casefold() in STOP:
            raise EOFError
        if not answer:
            return
        if answer == "?":
            name = each.question.id
            given = grade == hints.GRADES or hints.all_given(stage, name)
            grade = max(hints.next_grade(stage, name), min(grade + 1, hints.GRADES))
            say(report, hints.again(stage, name) if given else hints.take(stage, name, grade), "cyan")
            continue
        say(report, _judged(stage, each, answer), "green" if each.right else "yellow")


def _about(stage: int, each: Asked) -> str:
    """Which capture of the learner's a run question is about; or that there is none, and how to make it."""
    try:
        answer_of(stage, each.question)
        return f"(In {run_of(stage, each.question).path}.)"
    except Absent as why:
        each.absent, each.says = True, str(why)
        return each.says


def _results(asked: dict[str, Asked], right: int, report: Report) -> None:
    report.line()
    width = max(map(len, asked))
    for name, each in asked.items():
        report.line(f"{name:<{width}}  {each}")
    report.line(f"{right} of {len(asked)} right.", "bold")
