"""What the prices of levers look like: a table in a terminal, a page in Markdown, and a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its name, how it stands above a column, and its unit."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of one stage, with its figures; a stage as it is has neither lever nor setting."""

    stage: int
    lever: str
    setting: str
    figures: dict[str, float]

    @property
    def title(self) -> str:
        """As it is called in a table."""
        return f"{self.lever}={self.setting}" if self.lever else f"stage {self.stage}"


COLUMNS: Final = (
    Column("rate", "messages", "a second"),
    Column("latency", "latency", "ms"),
    Column("up", "up", "bytes"),
    Column("down", "down", "bytes"),
    Column("entering", "entering", "ms"),
    Column("server", "server", "µs"),
    Column("clients", "clients", "µs"),
    Column("memory", "memory", "KiB"),
)
DRAWN: Final = ("rate", "down", "entering", "memory")
"""What the picture shows, a column of bars each."""
NOTHING: Final = "lost"
"""In place of a figure where messages of a burst did not arrive."""
LABELS, BARS, NUMBERS, LINE, TOP = 230, 120, 55, 17, 62
"""Of the picture, in pixels: the width of the names, of a bar at its longest and of the figure behind it; the height of
a row and of the head."""


def number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """For a terminal."""
    width = max(len(row.title) for row in rows) + 2
    yield " " * width + "".join(f"{c.title:>10}" for c in COLUMNS)
    yield " " * width + "".join(f"{c.unit:>10}" for c in COLUMNS)
    for row in rows:
        name = row.title if not row.lever else f"  {row.title}"
        yield f"{name:<{width}}" + "".join(f"{number(row.figures.get(c.name)):>10}" for c in COLUMNS)


def markdown(rows: Sequence[Row], rounds: int, how: str) -> Iterator[str]:
    """The page; written by `make bench-levers ARGS=--pages`, never by hand."""
    yield from (
        "# What each lever costs",
        "",
        f"Written by `make bench-levers ARGS=--pages`: medians of {rounds} rounds. A busy machine moves every",
        "figure but the bytes, so compare rows with each other, and not with another machine's.",
        "",
        "![Four figures of every setting, as bars](levers.svg)",
        "",
        how,
        "",
        "| | " + " | ".join(f"{c.title}, {c.unit}" for c in COLUMNS) + " |",
        "|---" + "|--:" * len(COLUMNS) + "|",
    )
    for row in rows:
        name = f"`{row.title}`" if row.lever else f"**stage {row.stage}**, as it is"
        yield f"| {name} | " + " | ".join(number(row.figures.get(c.name)) for c in COLUMNS) + " |"


def picture(rows: Sequence[Row]) -> Iterator[str]:
    """An SVG: a row for each setting, a column of bars for each figure in DRAWN. It brings its own white ground, and no
    font but what the reader's machine has."""
    drawn = [column for column in COLUMNS if column.name in DRAWN]
    width = LABELS + len(drawn) * (BARS + NUMBERS) + 10
    height = TOP + LINE * len(rows) + 10
    size = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
    yield '<text x="10" y="22" font-size="15" font-weight="bold">What each lever costs</text>'
    for at, column in enumerate(drawn):
        yield f'<text x="{_left(at)}" y="{TOP - 18}" font-weight="bold">{column.title}</text>'
        yield f'<text x="{_left(at)}" y="{TOP - 5}" fill="#555">{column.unit}</text>'
    longest = {c.name: max(row.figures.get(c.name, 0) for row in rows) or 1 for c in drawn}
    for line, row in enumerate(rows):
        yield from _picture_row(row, TOP + LINE * line, drawn, longest)
    yield "</svg>"


def _left(column: int) -> int:
    return LABELS + column * (BARS + NUMBERS)


def _picture_row(row: Row, top: int, drawn: Sequence[Column], longest: dict[str, float]) -> Iterator[str]:
    ground, weight, left = ("#eef2f7", "bold", 10) if not row.lever else ("#fff", "normal", 22)
    yield f'<rect x="0" y="{top}" width="100%" height="{LINE}" fill="{ground}"/>'
    yield f'<text x="{left}" y="{top + 12}" font-weight="{weight}">{escape(row.title)}</text>'
    for at, column in enumerate(drawn):
        value = row.figures.get(column.name)
        long = max(BARS * (value or 0) / longest[column.name], 0)
        fill = "#2f6db5" if not row.lever else "#8fb4dd"
        yield f'<rect x="{_left(at)}" y="{top + 3}" width="{long:.1f}" height="{LINE - 6}" fill="{fill}"/>'
        yield f'<text x="{_left(at) + long + 4:.1f}" y="{top + 12}">{number(value)}</text>'
