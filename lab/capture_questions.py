"""`lab stage-1 questions`: the questions of the capture lab in a terminal, through a pipe, or answered by options.

One is asked after the other; Enter skips it, `?` says where to look, `q`, Ctrl-D or Ctrl-C end it. After the third
wrong answer the right one is told. Nothing is kept, unless --save asks for `results.txt`, to be read, and
`answers.json`, to be handed in (`lab.handed_in`), beside the capture.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab import handed_in
from lab.asking import NOT_RIGHT, STOP, lines, outcome, pairs, say
from lab.questions import Checker, Result
from lab.report import Report
from lab.runs import write_text
from lab.students import Student

RESULTS: Final = "results.txt"


@dataclass
class Asked:
    """A question and all that was answered to it."""

    name: str
    answers: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Was it answered, before the answer was told?"""
        return any(result.right and not result.told for result in self.results)

    @property
    def told(self) -> bool:
        """Was the answer told?"""
        return any(result.told for result in self.results)

    def __str__(self) -> str:
        return outcome(len(self.results), right=self.right, told=self.told) or "not answered"

    def to_json(self) -> dict[str, Any]:
        """As --json has it."""
        feedback = self.results[-1].feedback if self.results else ""
        return {"question": self.name, "answers": self.answers, "right": self.right, "told": self.told, "is": feedback}


def run(
    stage: int,
    file: str,
    given: Sequence[str],
    *,
    save: bool,
    as_json: bool,
    student: str = "",
    own: Student | None = None,
) -> int:
    """Ask, or check what was given as `name=answer`, and say at the end what was right. Returns the exit status.

    student: whose answers they are. own: whose the capture has to be. Raises LabError where there is no such capture
    or question, or it is another student's.
    """
    checker = Checker(file, stage)
    if own:
        own.check_own(checker.facts)
    report = Report(quiet=as_json)
    asked = {name: Asked(name) for name in checker.questions}
    if given:
        _check(checker, asked, given, report)
    else:
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            _ask_all(checker, asked, report, on_terminal=not as_json)
    _results(checker, asked, report, save=save)
    if save:
        answers = {name: each.answers for name, each in asked.items()}
        kept = handed_in.write(checker.facts.path, checker.facts.stage.number, student, answers)
        report.line(f"To be handed in: {kept}.")
    if as_json:
        print(json.dumps({"capture": str(checker.facts.path), "questions": [a.to_json() for a in asked.values()]}))
    return NOT_RIGHT if any(a.answers and not a.right for a in asked.values()) and given else 0


def _check(checker: Checker, asked: dict[str, Asked], given: Sequence[str], report: Report) -> None:
    """What came as options. Raises LabError."""
    answers = pairs(given, "syn=3412098711")
    for name, _ in answers:
        checker.text(name)  # is there such a question?
    for name, answer in answers:
        say(report, f"{name}: {_answered(checker, asked[name], answer).feedback}")


def _answered(checker: Checker, asked: Asked, answer: str) -> Result:
    asked.answers.append(answer)
    asked.results.append(checker.check(asked.name, answer))
    return asked.results[-1]


def _ask_all(checker: Checker, asked: dict[str, Asked], report: Report, *, on_terminal: bool) -> None:
    """Ask one question after the other."""
    read = lines(on_terminal=on_terminal)
    say(report, f"{len(asked)} questions about {checker.facts.path}.")
    say(report, "Enter skips one, ? says where to look, q ends it.")
    for number, each in enumerate(asked.values(), 1):
        report.line()
        say(report, f"{number}/{len(asked)} {checker.text(each.name)}", "bold")
        while not (each.right or each.told):
            answer = read().strip()
            if answer in STOP:
                raise EOFError
            if not answer:
                break
            if answer == "?":
                say(report, checker.hint(each.name))
                continue
            result = _answered(checker, each, answer)
            say(report, result.feedback, "green" if result.right else "yellow")


def _results(checker: Checker, asked: dict[str, Asked], report: Report, *, save: bool) -> None:
    """What was right, a line for each question; in a file as well, where that is wanted. Raises LabError."""
    rows = [f"{name:<16} {each}" for name, each in asked.items()]
    rows.append(f"{sum(each.right for each in asked.values())} of {len(asked)} right.")
    report.line()
    for row in rows:
        report.line(row)
    if save:
        file = checker.facts.path.with_name(RESULTS)
        write_text(file, "\n".join([f"The capture lab, stage {checker.facts.stage.number}.", "", *rows]))
        report.line(f"Kept in {file}.")
