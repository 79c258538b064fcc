"""What a run says to a person: plain lines when piped, colour and columns on a terminal."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from attacks import Attack, Goal
from common.text import printable
from lab.bench import Cell
from lab.output import Output
from stages import Stage

_STYLES: Final = {"broken": "bold red", "held": "bold green", "not-applicable": "dim"}
WIRE_LETTERS: Final = 120
"""How much of a message the columns show; the transcript has it whole."""
_PLACES: Final = {"alice": 0, "wire": 1, "bob": 2}


def story(attack: Attack) -> str:
    """The attack's docstring as one paragraph."""
    return " ".join(attack.story.split())


class Report:
    """Writes to standard output; on a terminal in three columns, else line by line."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self.console = Output(highlight=False, soft_wrap=True, markup=False, quiet=quiet)
        self.columns = min(shutil.get_terminal_size((100, 24)).columns, 160)
        self.verbose = verbose
        self._last_words = ""
        self.transcript: list[str] = []

    @property
    def on_terminal(self) -> bool:
        """Is a person looking?"""
        return self.console.is_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """One line; whatever is in it, it cannot move or hide anything on the terminal."""
        text = printable(text)
        self.transcript.append(text)
        self.console.print(Text(text, style=style))

    def paragraph(self, text: str, style: str = "", indent: str = "") -> None:
        """A paragraph, wrapped on a terminal; paths stay in one piece. indent: of all rows but the first."""
        rows = textwrap.wrap(
            text, self.columns - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for row in rows if self.on_terminal else [text]:
            self.line(row, style)

    def heading(self, text: str) -> None:
        """The beginning of a part."""
        self.line()
        self.line(
            f"── {text} " + "─" * max(self.columns - len(text) - 4, 0) if self.on_terminal else f"== {text}", "bold"
        )

    def note(self, place: str, text: str) -> None:
        """One thing that happened: kept for the transcript, shown with -v."""
        row = f"{place:>6}  {text}"
        if self.verbose:
            self.line(row)
        else:
            self.transcript.append(printable(row))

    def side_by_side(self, place: str, text: str) -> None:
        """One thing that happened, in the column of whoever saw it."""
        if not self.on_terminal:
            self.line(f"{place:>6}  {text}")
            return
        self.transcript.append(f"{place:>6}  {printable(text)}")
        if place not in _PLACES:
            return
        if place == "wire":
            text = self._shortened(text)
        self.console.print(columns_of(place, printable(text), self.columns))

    def _shortened(self, text: str) -> str:
        """What goes to everybody crosses the wire once for each; the words are shown the first time."""
        ends, _, words = text.partition("  ")
        again, self._last_words = words == self._last_words, words
        shown = f"{ends}  the same" if again else text
        return shown if len(shown) <= WIRE_LETTERS else shown[: WIRE_LETTERS - 1] + "…"

    def headings_of_columns(self) -> None:
        """Who sees what in the columns below."""
        if self.on_terminal:
            names = ("Alice's screen", "the wire, as Eve hears it", "Bob's screen")
            width = (self.columns - 6) // 3
            self.console.print(Text(" │ ".join(f"{name:^{width}}" for name in names), style="bold"))

    def verdict(self, cell: Cell, goal: Goal) -> None:
        """One cell: the verdict, why, and what was seen."""
        warning = ", and a victim was warned" if cell.told else ""
        word = {"not-applicable": "N/A"}.get(cell.verdict, cell.verdict.upper())
        via = f" via {cell.via}" if cell.via else ""
        self.line(f"{word:<8} {cell.id}{via}: {cell.reason}{warning}", _STYLES[cell.verdict])
        for evidence in cell.evidence[:2]:
            frames = f"  (frame {', '.join(map(str, evidence.frames[:3]))})" if evidence.frames else ""
            self.line(f"         {evidence.where}: {evidence.seen}{frames}")
        if cell.expected not in ("", cell.verdict):
            self.line(f"         That is not what was expected here: {cell.expected}.", "bold yellow")

    def table(self, cells: Sequence[Cell], goals: dict[str, Goal], stages: Sequence[Stage]) -> None:
        """Attacks in rows, stages in columns."""
        if not self.on_terminal:
            for cell in cells:
                self.line(f"stage {cell.stage}  {cell.verdict:<14}  {cell.id:<24}  {goals[cell.id].about}")
            return
        table = Table("attack", "goal", *(f"stage {stage.number}" for stage in stages))
        found = {(cell.id, cell.stage): cell for cell in cells}
        for name, goal in goals.items():
            row = [found.get((name, stage.number)) for stage in stages]
            verdicts = [Text(c.verdict, style=_STYLES[c.verdict]) if c else Text("") for c in row]
            table.add_row(name, goal.about, *verdicts)
        self.transcript.extend(f"stage {c.stage}  {c.verdict:<14}  {c.id}" for c in cells)
        self.console.print(table)

    def what_ifs(self, cells: Sequence[Cell]) -> None:
        """Below the table: what comes of other levers, where that is written down."""
        for cell in cells:
            for other in cell.what_ifs:
                said = f"stage {cell.stage}  {other.verdict:<14}  {cell.id:<24}  what if {other.levers}"
                self.line(said, _STYLES[other.verdict])


def columns_of(place: str, text: str, columns: int) -> Text:
    """A row of three columns with `text` in that of `place`, wrapped within it."""
    width = (columns - 6) // 3
    rows = textwrap.wrap(text, width, break_long_words=True) or [""]
    cells = ["\n".join(" " * width for _ in rows)] * 3
    lines = []
    for row in rows:
        cells = [" " * width] * 3
        cells[_PLACES[place]] = f"{row:<{width}}"
        lines.append(" │ ".join(cells))
    style = {"alice": "green", "wire": "red", "bob": "cyan"}[place]
    return Text("\n".join(lines), style=style)
