"""Hints in three grades: a nudge, half the way, nearly the answer. Each time one more, and it is remembered which.

Whoever has hints to give (the questions of a handout; an exercise) is a source: a function that takes a stage's number
and returns its ids, in the order in which they are met, each with its three hints.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import stages
from common.errors import LabError
from common.text import printable
from lab import progress
from lab.exercise.declared import all_hints
from lab.progress import Progress
from lab.question_file import questions
from lab.report import Report

GRADES: Final = 3
Source = Callable[[int], Mapping[str, Sequence[str]]]


def _of_questions(stage: int) -> Mapping[str, Sequence[str]]:
    return {question.id: question.hints for question in questions(stage).values()}


SOURCES: Final[list[Source]] = [_of_questions, all_hints]
"""Where hints are looked up. An id belongs to one source."""


def all_of(stage: int) -> dict[str, Sequence[str]]:
    """Every id of a stage that has hints, with its three."""
    return {name: hints for source in SOURCES for name, hints in source(stage).items()}


def of(stage: int, name: str) -> Sequence[str]:
    """The three hints of a question or exercise. Raises LabError where there is no such thing."""
    there = all_of(stage)
    if name not in there:
        listed = f"there are: {', '.join(there)}." if there else "it has none yet."
        raise LabError(f"Stage {stage} has no question or exercise {printable(name)}; {listed}")
    return there[name]


def next_grade(stage: int, name: str) -> int:
    """The grade that comes next; the third again when all were given, the first where nobody can tell."""
    given = progress.known().stage(stage).hints.get(name, 0)
    return min(max(given, 0) + 1, GRADES)


def all_given(stage: int, name: str) -> bool:
    """Were all three given?"""
    return progress.known().stage(stage).hints.get(name, 0) >= GRADES


def again(stage: int, name: str) -> str:
    """The last of them once more, and that there are no others. Raises LabError."""
    return f"These were all the hints there are. {take(stage, name, GRADES)}"


def take(stage: int, name: str, grade: int) -> str:
    """A hint, with its grade; it is remembered that it was given. Raises LabError."""
    text = of(stage, name)[grade - 1]
    progress.note(stage, hint=(name, grade), at=name)
    return f"Hint {grade} of {GRADES}: {text}"


def where(stage: int = 0) -> tuple[int, str]:
    """What the person is at: where they were last, else the first question that is not answered. Raises LabError."""
    reached = progress.known()
    at = reached.at
    if at and stage in (0, at.stage) and at.id in _there(at.stage) and not _answered(at.stage, at.id, reached):
        return at.stage, at.id
    for number in [stage] if stage else stages.catalogue():
        if name := _open(number, reached):
            return number, name
    raise LabError("There is no question left that you have not answered; name one: lab hint stage-1 QUESTION")


def _there(stage: int) -> dict[str, Sequence[str]]:
    return all_of(stage) if stage in stages.catalogue() else {}


def _open(stage: int, reached: Progress) -> str:
    return next((name for name in questions(stage) if not _answered(stage, name, reached)), "")


def _answered(stage: int, name: str, reached: Progress) -> bool:
    """Is this question answered; or, where it is an exercise's, has the exercise been passed?"""
    if name not in questions(stage):
        return "passed" in reached.stage(stage).exercise
    answered = reached.stage(stage).quiz.get(name)
    return answered is not None and bool(answered.right)


def show(stage: int, name: str) -> None:
    """`lab hint`: say the next hint. Raises LabError."""
    if name and not stage:
        raise LabError(f"Say of which stage: lab hint stage-1 {printable(name)}")
    number, asked = (stage, name) if name else where(stage)
    of(number, asked)
    report = Report()
    report.line(f"Stage {number}, {asked}", "bold")
    if asked in questions(number):
        report.paragraph(questions(number)[asked].asks)
    given = all_given(number, asked)
    report.paragraph(again(number, asked) if given else take(number, asked, next_grade(number, asked)))
