"""An Outcome as a person reads it, and how far a check is while it runs."""

import shutil
import textwrap
from typing import Final

from rich.text import Text

from common.text import printable
from lab.exercise.outcome import Outcome, Result
from lab.exercise.program import NOT_WRITTEN
from lab.output import Output

SIGNS: Final = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "not-run": ("·", "dim")}
ROWS_PRINTED: Final = 12
"""How many of the last rows that the learner's code printed are shown."""


class Page:
    """Writes to standard output, wrapped on a terminal."""

    def __init__(self) -> None:
        self.console = Output(highlight=False, soft_wrap=True, markup=False)
        self.columns = min(shutil.get_terminal_size((100, 24)).columns, 120) if self.console.is_terminal else 10_000

    def row(self, text: str = "", style: str = "", first: str = "", rest: str = "") -> None:
        """A paragraph, with what stands before its first row and before the others."""
        rows = textwrap.wrap(
            printable(text), self.columns - 1, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
        )
        for row in rows or [first]:
            self.console.print(Text(row, style=style))


def show(outcome: Outcome) -> None:
    """All requirements; each that is not met with what was expected, what was observed, and what helps."""
    page = Page()
    n = outcome.stage
    network = "a LAN" if outcome.network == "lan" else "the loopback network"
    page.row(f"Stage {n}: {outcome.folder}, on {network}", "bold")
    if not outcome.isolated:
        why = f"Grading is not isolated: {outcome.not_isolated}. Limits of time and memory hold."
        page.row(why, "yellow", "! ", "  ")
    page.row()
    told = set[str]()
    for result in outcome.requirements:
        _result(page, result, n, told)
    failed = [result for result in outcome.requirements if result.status == "failed"]
    if outcome.printed and any(not result.observed.startswith(NOT_WRITTEN) for result in failed):
        page.row()
        page.row("The end of what your code printed:", "dim")
        for line in outcome.printed.splitlines()[-ROWS_PRINTED:]:
            page.row(line, "dim", "  │ ", "  │ ")
    page.row()
    met = sum(result.passed for result in outcome.requirements)
    page.row(f"{met} of {len(outcome.requirements)} requirements are met ({outcome.seconds:.1f} s).", "bold")
    if outcome.passed:
        page.row(f"All of it holds. Compare it with the reference: make stage-{n} solution", "green")
    elif outcome.next:
        page.row(f"The task stands in TASK.md. Another hint: .venv/bin/lab stage-{n} hint {outcome.next.helps}")


def _result(page: Page, result: Result, stage: int, told: set[str]) -> None:
    """One requirement. told: which sentences about what is not written stand above it already; each is said once."""
    sign, style = SIGNS[result.status]
    page.row(f"{result.title} ({result.id})", style, f"{sign} ", "  ")
    if result.status == "not-run" or result.observed.startswith(NOT_WRITTEN):
        again = result.status == "failed" and result.observed in told
        said = f"This waits for {_function(result.observed)}, too." if again else result.observed
        page.row(said, "dim", "    ", "    ")
        told.add(result.observed)
        return
    if result.passed:
        return
    for name, text in (
        ("expected", result.expected),
        ("observed", result.observed),
        ("violated", result.property),
        ("hint", result.hint),
        ("read", f"“{result.section}” in the handout of stage {stage}"),
    ):
        page.row(text, "", f"    {name:<9} ", " " * 14)


def _function(not_written: str) -> str:
    """`RoomKey.seal`, of what is said where it is not written yet."""
    return not_written.removeprefix(NOT_WRITTEN).partition(":")[0].strip()
