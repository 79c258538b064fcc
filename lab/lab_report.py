"""`lab report`: the classic two-page lab report, laid out from the learner's own last run, with questions to answer.

    make report                                    the last capture, as report-stageN.md
    make stage-1 report ARGS="--html"              the same as one HTML page that prints on two sheets of A4
    make stage-1 report FILE=runs/FOLDER ARGS="--write my-report.md"
    make stage-1 report ARGS="--measure --force"   measures threads against the event loop first (about 10 s)

What can be measured is filled in from the capture (`lab.report_figures`); what has to be understood is asked, each
question with the frame of that very capture that shows it (`lab.report_questions`). A report that is there is never
written over unasked: it may hold somebody's answers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.errors import LabError
from lab.diagram import mermaid
from lab.questions import found, last
from lab.report import Report
from lab.report_figures import Figures
from lab.report_figures import measure as measure_runtimes
from lab.report_questions import QUESTIONS
from lab.runs import write_text

ANSWER_LINES: Final = 4
"""Empty lines under a question, in Markdown."""


def make(file: str, stage: int, *, write: str, html: bool, force: bool, measure: bool = False) -> None:
    """Write the report on a capture, or on the last one. Raises LabError where there is none, or a report is there.

    stage: 0 for whichever the capture is of.
    """
    capture = found(Path(file), stage) if file else last(stage)
    figures = Figures.of(capture)
    number = figures.stage.number
    if stage and stage != number:
        raise LabError(
            f"{capture} is a capture of stage {number}; write it there: make stage-{number} report FILE={capture}"
        )
    target = Path(write or f"report-stage{number}.{'html' if html else 'md'}")
    if target.exists() and not force:
        raise LabError(
            f"{target} is there already and may hold your answers; add --force (make … ARGS=--force) to write over it, "
            "or name another with --write FILE."
        )
    if measure:
        measure_runtimes(capture.parent)
    if html:
        from lab.report_page import page

        write_text(target, page(figures))
    else:
        write_text(target, "\n".join(markdown(figures)))
    asked = f"{len(QUESTIONS)} questions are left to you"
    Report().paragraph(f"{target} is laid out from {capture}: figures and diagram are yours, {asked}.")


def markdown(figures: Figures) -> Iterator[str]:
    """The report as Markdown, with its diagram in Mermaid's language."""
    yield f"# Lab report: {figures.heading}\n"
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {_cell(value)} |" for name, value in figures.title_block())
    yield "\n## What was measured\n"
    yield f"Frame numbers are those of `{figures.facts.path}`, as Wireshark and `lab flow` show them.\n"
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {_cell(value)} |" for name, value in figures.rows())
    yield "\n## The conversation\n"
    yield f"{figures.drawn()}\n"
    yield "```mermaid"
    yield from mermaid(figures.arrows)
    yield "```"
    yield "\n## Questions\n"
    for number, question in enumerate(QUESTIONS, 1):
        yield f"**{number}. {question.title}** {question.asks}"
        yield f"*In your capture:* {question.see(figures)}\n"
        yield "> \n" * ANSWER_LINES


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or " "
