"""Findings, read strictly: a heading, a table of two columns, four parts in a fixed order, and a block of evidence
for each cell. What is not so is one sentence that names the page, the finding and what was expected.

    ### S1-03: A free name is enough to be someone

    | | |
    |---|---|
    | Severity | Critical |
    …

People write all of it except the severity, the score before the vector, and the number of the line of code; those
`make audits` writes (`written_anew`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, get_args

from attacks import Position
from common.errors import LabError
from lab.audit_blocks import cited
from lab.scores import VECTOR, Score, score
from lab.source_lines import line_of

ROWS: Final = ("Severity", "Difficulty", "Weakness", "CVSS 4.0", "Position", "Cells", "Code", "Held by")
PARTS: Final = (
    "Description",
    "Exploit scenario",
    "Evidence",
    "Recommendation, short term",
    "Recommendation, long term",
)
DIFFICULTIES: Final = ("Low", "Medium", "High")

_HEAD: Final = ["| | |", "|---|---|"]
_HEADING: Final = re.compile(r"### (?P<id>[SF]\d+-\d\d): (?P<title>\S.*)")
_ROW: Final = re.compile(r"\| (?P<name>[^|]+?) \| (?P<value>.*?) ?\|")
_WEAKNESS: Final = re.compile(r"\[CWE-\d+: [^]]+]\(https://cwe\.mitre\.org/data/definitions/\d+\.html\)")
_CVSS: Final = re.compile(rf"(?:\d+\.\d \(\w+\) )?`(?P<vector>{VECTOR})`")
_CELLS: Final = re.compile(r"`[^`]+`(?:, `[^`]+`)*")
_CODE: Final = re.compile(
    r"`(?P<quoted>[^`]+)` in `(?P<owner>[\w.]+)`, \[(?P<label>[^]]+)]\((?P<link>[^)#]+)(?:#L\d+)?\)"
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of one line of code: what it says, in which function, in which file (as linked from the page)."""

    text: str
    owner: str
    label: str
    link: str


@dataclass(frozen=True, slots=True)
class NamedTest:
    """A test that would go red if the flaw went away: its name, and its file as linked from the page."""

    name: str
    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `rows` is its table as it stands, by name; `text` all of it, heading included."""

    id: str
    title: str
    rows: Mapping[str, str]
    vector: str
    cells: tuple[str, ...]
    positions: tuple[str, ...]
    code: Quote | None
    held_by: tuple[NamedTest, ...]
    text: str

    @property
    def difficulty(self) -> str:
        """Low, Medium or High."""
        return self.rows["Difficulty"]

    @property
    def score(self) -> Score:
        """What its vector comes to. Raises LabError where the library is missing."""
        return score(self.vector)


def findings(text: str, page: str) -> list[Finding]:
    """Every finding of an audit, in order; `page` is its name, for what is wrong in it. Raises LabError."""
    section = re.search(r"^## Findings\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        raise LabError(f"{page} has no section ## Findings; expected one, with a heading ### S1-01: Title for each.")
    parts = re.split(r"^(?=### )", section[1], flags=re.MULTILINE)[1:]
    return [_Reader(part, page).finding() for part in parts]


def written_anew(text: str, page: Path) -> str:
    """The audit with severity, score and line numbers of its findings as they are now. Raises LabError."""
    for finding in findings(text, page.name):
        rows = {**finding.rows, **machine_rows(finding, page)}
        table = "\n".join([*_HEAD, *(f"| {name} | {value} |" for name, value in rows.items())])
        old = finding.text.split("\n\n")[1]
        text = text.replace(finding.text, finding.text.replace(old, table, 1), 1)
    return text


def machine_rows(finding: Finding, page: Path) -> dict[str, str]:
    """Those rows of a finding's table that follow from the others and from the code. Raises LabError."""
    rows = {"Severity": finding.score.rating, "CVSS 4.0": f"{finding.score} `{finding.vector}`"}
    if finding.code is not None:
        code = finding.code
        try:
            line = line_of(Path(os.path.normpath(page.parent / code.link)), code.owner, code.text)
        except LabError as error:
            raise LabError(f"{page.name}, {finding.id}: {error}") from None
        quoted = code.text.replace("|", r"\|")
        rows["Code"] = f"`{quoted}` in `{code.owner}`, [{code.label}]({code.link}#L{line})"
    return rows


class _Reader:
    """Reads one finding, and says what is wrong with it."""

    def __init__(self, text: str, page: str) -> None:
        self.text = text
        self.page = page
        self.heading, *rest = (text.strip() + "\n\n").split("\n\n")
        self.table = rest[0].splitlines()

    def wrong(self, what: str, expected: str) -> NoReturn:
        about = self.heading.removeprefix("### ").partition(":")[0]
        raise LabError(f"{self.page}, {about}: {what}; expected {expected}.")

    def finding(self) -> Finding:
        heading = _HEADING.fullmatch(self.heading) or self.wrong("its heading is not understood", "### S1-01: Title")
        rows = self.rows()
        if rows["Difficulty"] not in DIFFICULTIES:
            self.wrong(f"its difficulty is {rows['Difficulty']!r}", f"one of {', '.join(DIFFICULTIES)}")
        self.match(_WEAKNESS, rows, "Weakness", "[CWE-319: Name](https://cwe.mitre.org/data/definitions/319.html)")
        vector = self.match(_CVSS, rows, "CVSS 4.0", "all base metrics in order, as `CVSS:4.0/AV:N/AC:L/…/SA:N`")
        cells = self.cells(rows)
        self.check_parts(cells)
        ours = heading["id"].startswith("S")  # else a protocol that nobody here wrote: no code of ours to quote
        return Finding(
            id=heading["id"],
            title=heading["title"],
            rows=rows,
            vector=vector["vector"],
            cells=cells,
            positions=self.positions(rows),
            code=self.code(rows) if ours else None,
            held_by=self.tests(rows),
            text=self.text,
        )

    def rows(self) -> dict[str, str]:
        rows = [_ROW.fullmatch(line) for line in self.table[len(_HEAD) :]]
        found = {row["name"]: row["value"] for row in rows if row}
        if self.table[: len(_HEAD)] != _HEAD or tuple(found) != ROWS or len(rows) != len(ROWS):
            self.wrong("its table is not understood", f"| | | and |---|---|, then the rows {', '.join(ROWS)}")
        return found

    def match(self, pattern: re.Pattern[str], rows: Mapping[str, str], row: str, expected: str) -> re.Match[str]:
        return pattern.fullmatch(rows[row]) or self.wrong(f"its row {row} is {rows[row]!r}", expected)

    def cells(self, rows: Mapping[str, str]) -> tuple[str, ...]:
        self.match(_CELLS, rows, "Cells", "`attack/goal`, `attack/goal`")
        return tuple(re.findall(r"`([^`]+)`", rows["Cells"]))

    def positions(self, rows: Mapping[str, str]) -> tuple[str, ...]:
        found = tuple(rows["Position"].split(", "))
        if not set(found) <= set(get_args(Position)):
            self.wrong(f"its row Position is {rows['Position']!r}", f"some of {', '.join(get_args(Position))}")
        return found

    def code(self, rows: Mapping[str, str]) -> Quote:
        match = self.match(_CODE, rows, "Code", "`part of a line` in `Class.method`, [file.py](../path/file.py)")
        return Quote(match["quoted"].replace(r"\|", "|"), match["owner"], match["label"], match["link"])

    def tests(self, rows: Mapping[str, str]) -> tuple[NamedTest, ...]:
        one = r"`(test_\w+)`, in \[([^]]+)]\(([^)]+)\)"
        expected = "`test_name`, in [tests/….py](../tests/….py), and where there are more, a semicolon between them"
        self.match(re.compile(rf"{one}(?:; {one})*"), rows, "Held by", expected)
        return tuple(NamedTest(*found) for found in re.findall(one, rows["Held by"]))

    def check_parts(self, cells: tuple[str, ...]) -> None:
        found = re.findall(r"^\*\*([^*\n]+)\.\*\*", self.text, re.MULTILINE)
        if tuple(found) != PARTS:
            self.wrong(f"its parts are {', '.join(found) or 'none'}", ", ".join(PARTS))
        if cited(self.text) != list(cells):
            self.wrong(f"it has evidence of {', '.join(cited(self.text)) or 'nothing'}", f"of {', '.join(cells)}")
