"""The capture lab's questions, checked against the very capture that a learner holds; for notebooks too.

    from lab.questions import Checker
    checker = Checker("runs/20260301-101500-stage1-capture-4f2a")    # or a capture, or nothing for the last one
    checker.syn(0)                                                   # the same as checker.check("syn", 0)

A result has `right`, `feedback` and `told`, and is never printed. A wrong answer is first told what the number is and
where to look, the second time also what to type, and from the third time on the answer: so a question answered with
the relative number ends with "the header holds 3 412 098 711", but does not begin with it. What each question asks,
and which wrong answers it knows, stands in `lab.question_table`; what is right is computed from the file
(`lab.facts`), so that the answers of one run are wrong in another.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import LabError
from lab.answers import Question, Unreadable
from lab.facts import CLIENT_FILE, SERVER_FILE, Facts
from lab.question_table import QUESTIONS

TYPE_AT, TELL_AT = 2, 3
"""With which wrong answer it is said what to type, and with which one the answer."""
RUNS: Final = Path("runs")


@dataclass(frozen=True)
class Result:
    """What came of one answer. `told`: has the answer been given away, now or before?"""

    question: str
    right: bool
    feedback: str
    told: bool = False

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"{self.question}: {self.feedback}"


class Checker:
    """The questions that can be asked of one capture. It remembers how often each was answered wrongly."""

    def __init__(self, place: str | Path = "", stage: int = 0) -> None:
        """Read a run's folder or a capture, or the last run's; stage: only if it is of this one. Raises LabError."""
        path = found(Path(place), stage) if str(place) else last(stage)
        self.facts = Facts.read(path)
        if stage and self.facts.stage.number != stage:
            raise LabError(
                f"{path} is a capture of stage {self.facts.stage.number}; "
                f"ask there: make stage-{self.facts.stage.number} questions FILE={path}"
            )
        self.questions: dict[str, Question] = {q.name: q for q in QUESTIONS if q.applies(self.facts)}
        self._wrong: dict[str, int] = dict.fromkeys(self.questions, 0)

    def __repr__(self) -> str:
        """Every question."""
        return "\n".join([f"Questions about {self.facts.path}:", *(self.text(name) for name in self.questions)])

    def __dir__(self) -> Iterator[str]:
        yield from super().__dir__()
        yield from self.questions

    def __getattr__(self, name: str) -> Callable[[object], Result]:
        """A question by its name, to be called with an answer."""
        if name.startswith("_") or name not in {question.name for question in QUESTIONS}:
            raise AttributeError(f"There is no question {name}; there are: {', '.join(self.questions)}.")
        return lambda answer: self.check(name, answer)

    def text(self, name: str) -> str:
        """What is asked, with the question's name before it. Raises LabError."""
        return f"{name}: {self._question(name).asks.format(f=self.facts)}"

    def hint(self, name: str) -> str:
        """Where to look, and what to type. Raises LabError."""
        question = self._question(name)
        return "\n".join(filter(None, (_filled(question.look, self.facts), self._typed(question))))

    def check(self, name: str, answer: object) -> Result:
        """Is this the answer? Raises LabError where this capture has no such question."""
        question = self._question(name)
        try:
            value = question.read(str(answer))
        except Unreadable as why:
            return Result(name, False, str(why), self._wrong[name] >= TELL_AT)
        if value in question.right(self.facts):
            return Result(name, True, question.praise(self.facts), self._wrong[name] >= TELL_AT)
        self._wrong[name] += 1
        feedback = question.about(value, str(answer), self.facts)
        tries = self._wrong[name]
        if tries >= TELL_AT:
            return Result(name, False, f"{feedback}\n{question.tells(self.facts)}", told=True)
        hints = [_filled(question.look, self.facts), self._typed(question) if tries >= TYPE_AT else ""]
        return Result(name, False, "\n".join([feedback, *filter(None, hints)]))

    def _question(self, name: str) -> Question:
        if name in self.questions:
            return self.questions[name]
        there = ", ".join(self.questions)
        if name in {question.name for question in QUESTIONS}:
            absent = next(question.absent for question in QUESTIONS if question.name == name)
            raise LabError(f"{name} cannot be asked of {self.facts.path}: {absent} It has: {there}.")
        raise LabError(f"There is no question {name}; there are: {there}.")

    def _typed(self, question: Question) -> str:
        """The commands that show it."""
        if not question.tshark:
            return ""
        command = f"tshark -r {self.facts.path} {_filled(question.tshark, self.facts)}"
        own = f"Or without tshark:\n  .venv/bin/lab {_filled(question.lab, self.facts)}" if question.lab else ""
        return f"In a terminal:\n  {command}\n{own}".rstrip()


def _filled(text: str, facts: Facts) -> str:
    return text.format(f=facts)


def found(place: Path, stage: int = 0) -> Path:
    """Client 1's capture in a run's folder, or this capture. Raises LabError."""
    if place.is_dir():
        if not (place / CLIENT_FILE).is_file():
            raise LabError(f"{place} has no {CLIENT_FILE}; make a capture: make stage-{stage or 1} capture")
        return place / CLIENT_FILE
    if place.name == SERVER_FILE and (place.parent / CLIENT_FILE).is_file():
        raise LabError(f"The questions are about client 1's card; give {place.parent / CLIENT_FILE}.")
    if not place.exists():
        raise LabError(f"There is no {place}; give a run's folder, or make a capture: make stage-{stage or 1} capture")
    return place


def last(stage: int = 0) -> Path:
    """The last capture of this stage, or of any. Raises LabError where there is none."""
    captures: Iterable[Path] = RUNS.glob(f"*-stage{stage or '[0-9]*'}-capture-*/{CLIENT_FILE}")
    newest = max(captures, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        of = f" of stage {stage}" if stage else ""
        raise LabError(f"There is no capture{of} yet; make one: make stage-{stage or 1} capture")
    return newest
