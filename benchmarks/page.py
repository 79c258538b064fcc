"""The page of results, `benchmarks/README.md`: written by every run, from the last result of each subject."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.rows import Result, Row, Slice
from benchmarks.targets import TARGETS, Target
from common.files import write_whole

FILE: Final = Path(__file__).parent / "README.md"
TITLES: Final = {
    "brokers": "A room, against brokers and C",
    "arrivals": "Coming, staying, being there",
    "boxes": "Sealing for a hundred",
    "room": "One write a turn, against one a message",
    "runtimes": "A thread for each client, against the event loop",
    "cracking": "Cracking passwords",
    "captures": "Reading captures",
    "live": "Hearing a busy network",
    "people": "People's time",
    "calm": "Under denial of service",
}
HEAD: Final = """# Results

Written by `make bench`; do not edit. `make bench ARGS="brokers arrivals"` measures some subjects anew, and the others
stay as they were. The machine is shared with other work, and its speed changes from minute to minute, so a figure alone
says little: what can be trusted are the ratios, each within one run, of medians over several rounds in which the two
take turns. Where a figure is "to a CPU second", it is divided by the processor time that the server itself took.
"""
WORDS: Final = {True: "met", False: "**not met**", None: "–"}


def write(results: dict[str, Result], file: Path = FILE) -> None:
    """Put the page in the place of the last. Raises LabError."""
    write_whole(file, ("\n".join(lines(results)) + "\n").encode(), mode=0o644)


def lines(results: dict[str, Result]) -> Iterator[str]:
    """The whole page."""
    yield from (HEAD, "## Targets", "")
    yield from table(("Target", "Measured", ""), (_answer(name, target, results) for name, target in TARGETS.items()))
    for subject, title in TITLES.items():
        if subject in results:
            yield from ("", f"## {title}", "")
            yield from _subject(results[subject])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table in Markdown; a bar in a cell is written so that it stays one."""
    head = list(head)
    yield _line(head)
    yield _line("---" for _ in head)
    for row in rows:
        yield _line(cell.replace("|", "\\|") for cell in row)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _answer(name: str, target: Target, results: dict[str, Result]) -> tuple[str, str, str]:
    """A target, the figures that were found for it, and how many of them meet it."""
    if target.by_hand:
        return target.says, f"not by this run: {target.by_hand}", ""
    rows = [row for result in results.values() for row in result.rows if row.target == name]
    if not rows:
        return target.says, "not measured yet", ""
    met = sum(row.met is True for row in rows)
    found = ", ".join(number(row.figure) for row in rows)
    return target.says, found, WORDS[met == len(rows)] if met in (0, len(rows)) else f"**{met} of {len(rows)}** met"


def _subject(result: Result) -> Iterator[str]:
    """One subject: when and where, its limits, its rows, and the reasons."""
    yield f"{result.when}, {result.machine}, shared; it took {result.seconds:.0f} s. {result.limits}"
    yield ""
    compared = any(row.theirs for row in result.rows)
    head = ("What", "Ours", "Theirs", "Ratio", "Target", "") if compared else ("What", "Ours", "Target", "")
    yield from table(head, (_cells(row, compared=compared) for row in result.rows))
    for reason in result.left_out:
        yield from ("", f"Left out: {reason}")
    for row in result.rows:
        if row.met is False and row.why:
            yield from ("", f"Why not, {row.name}: {row.why}")
    for name, slices in result.profiles.items():
        yield from ("", f"Where the time goes in **{name}**:", "")
        yield from table(("Share", "Function", "Line"), _shares(slices))


def _cells(row: Row, *, compared: bool) -> Iterator[str]:
    yield row.name
    yield f"{number(row.ours)} {row.unit}"
    if compared:
        yield f"{row.against} {number(row.theirs)}" if row.theirs else "–"
        yield f"{number(row.figure)}" if row.theirs else "–"
    target = TARGETS.get(row.target)
    yield f"{'≤' if target.at_most else '≥'} {number(target.wanted)}" if target else "–"
    yield WORDS[row.met]


def _shares(slices: Iterable[Slice]) -> Iterator[tuple[str, str, str]]:
    for part in slices:
        yield f"{part.share:.0%}", f"`{part.function}`", f"`{part.line}`" if part.line else ""


def number(value: float) -> str:
    """Three digits that count, in words that are short: 0.52, 17.4, 24,600, 12.3 M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value))) + 1):,.0f}"
    return f"{value:.3g}"
