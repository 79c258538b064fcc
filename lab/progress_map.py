"""`lab progress`: how far the person has come, as a map of the stages."""

import json
from typing import Any, Final, NamedTuple

from rich.table import Table
from rich.text import Text

import attacks
import stages
from lab import progress
from lab.question_file import questions
from lab.report import Report
from stages import Stage

LEGEND: Final = (
    "Attacks: those that you ran yourself, best after a prediction (make stage-1 sniffer); what a demo shows counts as "
    "the demo. Quiz: questions that you answered rightly."
)


class Row(NamedTuple):
    """One stage: what there is to do, and what was done of it."""

    stage: int
    title: str
    demo: bool
    attacks_run: int
    attacks: int
    quiz_right: int
    quiz: int
    exercise: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """As they are shown."""
        quiz = f"{self.quiz_right}/{self.quiz}" if self.quiz else "-"
        return "seen" if self.demo else "-", f"{self.attacks_run}/{self.attacks}", quiz, self.exercise or "-"

    def to_json(self) -> dict[str, Any]:
        """As --json has it."""
        return self._asdict()


def row(stage: Stage, reached: progress.Reached) -> Row:
    """A stage's row. What a later version of the lab no longer has, does not count."""
    there = {a.name for a in attacks.catalogue() if any(_applies(goal, stage) for goal in a.goals)}
    asked = questions(stage.number)
    right = sum(bool(answer.right) for name, answer in reached.quiz.items() if name in asked)
    run = len(there & set(reached.attacks))
    return Row(
        stage.number, stage.title, bool(reached.demo), run, len(there), right, len(asked), _exercise(reached.exercise)
    )


def _applies(goal: attacks.Goal, stage: Stage) -> bool:
    return goal.expected_at(stage.number) != "not-applicable"


def _exercise(reached: dict[str, str]) -> str:
    """Whoever passed has passed; that the solution was looked at before stands beside it."""
    words = sorted(reached, key=lambda word: (reached[word], word))
    if "passed" in reached:
        given_up = "given-up" in reached and reached["given-up"] < reached["passed"]
        return "passed (after the solution)" if given_up else "passed"
    return words[-1] if words else ""


def show(*, as_json: bool) -> None:
    """Print the map. Raises LabError where the file cannot be read."""
    known = progress.read()
    rows = [row(stage, known.stage(stage.number)) for stage in stages.catalogue().values()]
    report = Report(quiet=as_json)
    if as_json:
        at = {"stage": known.at.stage, "id": known.at.id} if known.at else None
        print(json.dumps({"file": str(progress.file()), "stages": [each.to_json() for each in rows], "at": at}))
    elif report.on_terminal:
        report.console.print(_table(rows))
    else:
        for each in rows:
            demo, attacks_run, quiz, exercise = each.cells
            report.line(f"stage {each.stage}  demo {demo}  attacks {attacks_run}  quiz {quiz}  exercise {exercise}")
    report.paragraph(LEGEND, "dim")
    report.line(f"Kept in {progress.file()}.")


def _table(rows: list[Row]) -> Table:
    table = Table("stage", "demo", "attacks", "quiz", "exercise")
    for each in rows:
        done = (
            each.demo,
            each.attacks_run == each.attacks,
            each.quiz_right == each.quiz > 0,
            "passed" in each.exercise,
        )
        begun = (each.demo, each.attacks_run, each.quiz_right, each.exercise)
        styles = ["green" if all_ else "yellow" if some else "dim" for all_, some in zip(done, begun, strict=True)]
        cells = (Text(text, style=style) for text, style in zip(each.cells, styles, strict=True))
        table.add_row(f"{each.stage} {each.title.partition(':')[0].lower()}", *cells)
    return table
