"""What `lab field` does: the whole field audit, told as a short table."""

import json
from collections.abc import Sequence
from itertools import groupby

from attacks import Attack, Goal
from common.errors import LabError
from common.levers import Levers
from lab import runs
from lab.bench import Bench, Cell
from lab.field import NGIRCD, ngircd
from lab.field.attacks import FIELD
from lab.field.scene import FieldScene
from lab.matrix import InOrder, Item, benches, run, unproven
from lab.report import Report, story
from lab.scene import Watch
from lab.verbs import Options, as_expected, say_network

WIDTH = 2
"""How many networks at once, each with a server of its own."""


def goals(name: str = "") -> list[tuple[Attack, Goal]]:
    """Every goal of the field's attacks, or of the one that is named. Raises LabError."""
    if name and name not in FIELD:
        raise LabError(f"The field has no attack {name}; it has: {', '.join(FIELD)}.")
    return [(attack, goal) for attack in FIELD.values() for goal in attack.goals if name in ("", attack.name)]


def items(name: str = "") -> list[Item]:
    """The same, as the bench takes them."""
    return [Item(NGIRCD, attack, goal) for attack, goal in goals(name)]


def play(side_by_side: Sequence[Bench]) -> None:
    """Let these benches play the field's scene."""
    for bench in side_by_side:
        bench.scene = FieldScene


async def field(name: str, options: Options) -> int:
    """Attack the server in every way; each cell again under the levers that are named for it, unless some are turned.

    Exit status as of `lab matrix`: 0 where all is as expected.
    """
    target = ngircd.version()
    Levers.parse(options.levers, NGIRCD.levers)  # what is mistyped is said before anything is built
    report = Report(verbose=options.verbose, quiet=options.json)
    wanted = items(name)
    async with benches(options.network, 1 if report.verbose else WIDTH) as side_by_side:
        play(side_by_side)
        report.line(f"The field: IRC, as {ngircd.short(target)} serves it", "bold")
        say_network(report, side_by_side[0])
        report.line("Alice, Bob and Carol talk in #lab; a scene of its own, with fresh secrets, for every line below.")

        def watch(item: Item) -> Watch:
            if report.verbose:  # whoever wants to see it sees it as it happens, the story first
                _begin(report, item)
                return report.note
            return told.watch(item)

        told = InOrder(wanted, lambda item, cell, seen: _tell(report, item, cell, seen))
        cells = await run(
            side_by_side,
            wanted,
            levers=options.levers,
            ablations=not options.levers,
            watch=watch,
            judged=told.judged,
        )
        folder = runs.save(side_by_side, "field", cells, report.transcript)
        network = side_by_side[0].kind
    faults = [fault.removeprefix("stage 1 ") for cell in cells if not options.levers for fault in unproven(cell)]
    _end(report, cells, faults, str(folder))
    if options.json:
        print(json.dumps({"target": target} | _without_stage(runs.verdicts(network, cells, folder)), indent=2))
    return as_expected(cells, report) or (1 if faults else 0)


def _begin(report: Report, item: Item) -> None:
    """The attack's story, before the first of its goals."""
    if item.goal is item.attack.goals[0]:
        report.heading(f"{item.attack.name} ({item.attack.position})")
        report.paragraph(story(item.attack))
        report.line()


def _tell(report: Report, item: Item, cell: Cell, seen: list[tuple[str, str]]) -> None:
    """One cell, and what comes of other levers."""
    if not report.verbose:
        _begin(report, item)
    for place, text in seen:
        report.note(place, text)
    report.verdict(cell, item.goal)
    if again := what_ifs(cell):
        report.line("         " + "; ".join(f"{verdict} with {words}" for words, verdict in again.items()), "dim")


def what_ifs(cell: Cell) -> dict[str, str]:
    """What came of a cell under each set of other levers that was run: ablation and remedy first."""
    first = [again for again in (cell.ablation, cell.remedy) if again]
    return {again.levers: again.verdict for again in (*first, *cell.what_ifs)}


def _end(report: Report, cells: Sequence[Cell], faults: Sequence[str], folder: str) -> None:
    report.heading("Verdicts")
    for attack, of in groupby(cells, key=lambda cell: cell.attack):
        verdicts = "  ".join(f"{cell.goal} {cell.verdict}" for cell in of)
        report.line(f"{attack:<16} {verdicts}")
    broken = sum(cell.verdict == "broken" for cell in cells)
    report.line(f"{broken} of {len(cells)} goals reached.", "bold")
    for fault in faults:
        report.line(f"Not shown: {fault}.", "bold yellow")
    report.paragraph(f"The audit: audits/field-ngircd.md. Captures, transcript and verdicts: {folder}/")


def _without_stage(verdicts: dict[str, object]) -> dict[str, object]:
    """There are no stages in the field."""
    for cell in verdicts["cells"] if isinstance(verdicts["cells"], list) else []:
        del cell["stage"]
    return verdicts
