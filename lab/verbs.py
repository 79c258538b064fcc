"""What the verbs of the command `lab` do: demo, attack, matrix."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import attacks
import stages
from attacks import Attack, Goal
from common.errors import LabError
from common.levers import Levers
from lab import capture_lab, progress, runs
from lab.bench import Bench, Cell
from lab.drawn import Drawn
from lab.facts import CLIENT_FILE, SERVER_FILE
from lab.matrix import WIDTH, InOrder, Item, benches, everything, run, unproven
from lab.report import Report, story
from lab.scene import Watch
from lab.surroundings import check_way
from stages import Stage

BROKEN, UNEXPECTED, NOT_RUN, HELD = 0, 1, 2, 3


@dataclass(frozen=True)
class Options:
    """What every attack takes."""

    network: str = "auto"
    levers: str = ""
    goal: str = ""
    json: bool = False
    write: str = ""
    count: int = 1
    duration: float = 0.0
    verbose: bool = False
    expect: bool = False
    ablations: bool = False
    per_host: bool = False
    via: str = ""
    slow: bool = False
    lan: str = ""
    family: str = ""

    @property
    def turned(self) -> str:
        """The levers, `--lan` among them."""
        return f"{self.levers} lan={self.lan}" if self.lan else self.levers


def by_make() -> bool:
    """Is this a verb of make's? Then a run to a verdict, of the kind that is expected, is a success."""
    return os.environ.get("LAB_EXPECT") == "1"


def selected(names: Sequence[str], goal: str, family: str = "") -> list[tuple[Attack, Goal, str]]:
    """The goals to try, each in every case: of all attacks, or of those of a family, or of those named; all goals, or
    the one named.

    Raises LabError.
    """
    if names:
        named = [attacks.find(name) for name in names]
        wanted = [(a, g) for a in named for g in ([a.goal(goal)] if goal else a.goals)]
    else:
        every = [(a, g) for a in attacks.catalogue(family) for g in a.goals]
        wanted = [(a, g) for a, g in every if goal in ("", g.name)]
        if not wanted:
            there = ", ".join(dict.fromkeys(g.name for _, g in every))
            raise LabError(f"No attack has a goal {goal}; there are: {there}.")
    return [(a, g, case) for a, g in wanted for case in g.cases or ("",)]


async def demo(stage: Stage, options: Options) -> int:
    """The narrated scene, then every attack, then where to go next."""
    report = Report(verbose=False, quiet=options.json)
    levers = Levers.parse(options.levers, stage.levers)
    every = everything([stage], selected([], options.goal))
    items = [item for item in every if item.goal.applies(stage.number, levers)] or every
    width = min(WIDTH, len(items))
    async with benches(options.network, width) as side_by_side:
        report.line(f"Stage {stage.number}: {stage.title}", "bold")
        say_network(report, side_by_side[0])
        report.heading("The control run: nobody attacks")
        control = await side_by_side[0].control(stage, levers, report.note)
        report.line(f"Alice, Bob and Carol said {len(control.spoken)} things; all arrived, and nobody was alarmed.")
        report.line("Each verdict below comes from a scene of its own, with fresh secrets.")
        _tell_story(report, items[0].attack)
        report.headings_of_columns()

        def tell(item: Item, cell: Cell, seen: list[tuple[str, str]]) -> None:
            before = items[items.index(item) - 1] if item != items[0] else item
            if item.attack is not before.attack:
                _tell_story(report, item.attack)
            for place, text in seen:
                report.note(place, text)
            if item == items[0]:
                report.line()
            report.verdict(cell, item.goal)

        told = InOrder(items, tell)

        def watch(item: Item) -> Watch:
            return report.side_by_side if item == items[0] else told.watch(item)  # the first is shown as it happens

        cells = await run(side_by_side, items, levers=options.levers, watch=watch, judged=told.judged)
        folder = runs.save(
            side_by_side, f"stage{stage.number}-demo", cells, report.transcript, per_host=options.per_host
        )
        progress.note(stage.number, demo=True)
        report.heading("Verdicts")
        _summary(report, cells)
        ran = {item.attack.name for item in items}
        if absent := dict.fromkeys(item.attack.name for item in every if item.attack.name not in ran):
            report.paragraph(f"Left out, since this stage has nothing that they could attack: {', '.join(absent)}.")
        _where_next(report, stage, folder)
        if options.json:
            print(json.dumps(runs.verdicts(side_by_side[0].kind, cells, folder), indent=2))
    return as_expected(cells, report)


def _tell_story(report: Report, attack: Attack) -> None:
    report.heading(f"{attack.name} ({attack.position})")
    report.paragraph(story(attack))
    report.line()


async def attack(stage: Stage, names: Sequence[str], options: Options) -> int:
    """Run attacks against one stage, `count` times each or until `duration` is over, and judge them."""
    report = Report(verbose=options.verbose or options.slow, quiet=options.json)
    Levers.parse(options.turned, stage.levers)  # what is mistyped is said before anything is built
    goals = selected(names, options.goal)
    if options.write:
        _check_target(Path(options.write), goals)
    if options.via and not names:  # of all attacks, those that can go that way
        goals = [goal for goal in goals if options.via in goal[0].via]
    for chosen, _, _ in goals:
        check_way(chosen, options.via)
    items = everything([stage], goals)
    deadline = asyncio.get_running_loop().time() + (options.duration or float("inf"))
    cells: list[Cell] = []
    width = 1 if report.verbose else min(WIDTH, len(items))  # whoever wants to see it sees it as it happens
    async with benches(options.network, width) as side_by_side:
        say_network(report, side_by_side[0])
        if len(names) == 1:
            report.paragraph(story(items[0].attack))

        def tell(item: Item, cell: Cell, seen: list[tuple[str, str]]) -> None:
            for place, text in seen:
                report.note(place, text)
            report.verdict(cell, item.goal)

        for _ in range(options.count):
            if cells and asyncio.get_running_loop().time() > deadline:
                break
            told = InOrder(items, tell)

            def watch(item: Item, told: InOrder = told) -> Watch:
                return report.note if width == 1 else told.watch(item)

            cells += await run(
                side_by_side,
                items,
                levers=options.turned,
                via=options.via,
                slow=options.slow,
                watch=watch,
                judged=told.judged,
            )
        slug = f"stage{stage.number}-{names[0] if len(names) == 1 else 'attack'}"
        folder = runs.save(side_by_side, slug, cells, report.transcript, per_host=options.per_host)
        for name in dict.fromkeys(cell.attack for cell in cells if cell.verdict != "not-applicable"):
            progress.note(stage.number, attack=name)
        if options.write:
            _write(side_by_side[0], cells, Path(options.write))
        report.line(f"Captures, transcript and verdicts: {folder}/")
        if options.json:
            print(json.dumps(runs.verdicts(side_by_side[0].kind, cells, folder), indent=2))
    return as_expected(cells, report) if options.expect else _status(cells)


async def capture(stage: Stage, options: Options, drawn: Drawn | None = None) -> int:
    """A conversation for a learner, heard by two network cards; what to do with it is asked by `lab.questions`.

    drawn: where a student's own parameters come from.
    """
    report = Report(quiet=options.json)
    levers = Levers.parse(options.turned, stage.levers)
    async with Bench.open(options.network) as bench:
        say_network(report, bench)
        await capture_lab.play(bench, stage, levers, drawn=drawn)
        folder = runs.new_folder(f"stage{stage.number}-capture")
        capture_lab.write(bench.recordings["control"], folder)
    report.paragraph(
        f"What client 1's card heard is in {folder / CLIENT_FILE}, what the server's heard in {SERVER_FILE} beside it: "
        f"look at the first (make wireshark, or .venv/bin/lab flow FILE), then make stage-{stage.number} questions."
    )
    if options.json:
        files = {"client1": str(folder / CLIENT_FILE), "server": str(folder / SERVER_FILE)}
        print(json.dumps({"network": bench.kind, "run": str(folder), **files}))
    return 0


async def matrix(options: Options) -> int:
    """Every attack against every stage, or every one of a family."""
    from rich.progress import Progress

    report = Report(quiet=options.json)
    goals = selected([], "", options.family)
    stages_there = list(stages.catalogue().values())
    items = everything(stages_there, goals)
    async with benches(options.network) as side_by_side:
        say_network(report, side_by_side[0])
        with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
            task = progress.add_task("running", total=len(items))

            def judged(item: Item, cell: Cell) -> None:
                progress.update(task, description=f"stage {cell.stage} {cell.id}", advance=1)

            cells = await run(side_by_side, items, levers=options.levers, ablations=options.ablations, judged=judged)
        report.table(cells, {"/".join(filter(None, (a.name, g.name, case))): g for a, g, case in goals}, stages_there)
        report.what_ifs(cells)
        faults = [fault for cell in cells for fault in unproven(cell)] if options.ablations else []
        for fault in faults:
            report.line(f"Not shown: {fault}.", "bold yellow")
        if options.json:
            print(json.dumps(runs.verdicts(side_by_side[0].kind, cells, None), indent=2))
    return as_expected(cells, report) or (UNEXPECTED if faults else 0)


def say_network(report: Report, bench: Bench) -> None:
    """Which network is in use, and why where it is the second choice."""
    if bench.why:
        report.line(f"! {bench.why}", "yellow")
    else:
        names = {"lan": "a LAN of its own (network namespaces, no root)", "loopback": "the loopback network"}
        report.line(f"Running on {names[bench.kind]}; nothing leaves this machine.")


def _summary(report: Report, cells: Sequence[Cell]) -> None:
    width = max(len(cell.id) for cell in cells)
    for cell in cells:
        style = {"broken": "red", "held": "green"}.get(cell.verdict, "dim")
        why = cell.reason if cell.verdict == "not-applicable" else ""
        report.line(f"{cell.verdict:<15} {cell.id:<{width}}  {why}".rstrip(), style)
    broken = sum(cell.verdict == "broken" for cell in cells)
    applies = sum(cell.verdict != "not-applicable" for cell in cells)
    report.line(f"{broken} of {applies} goals reached.", "bold")


def _where_next(report: Report, stage: Stage, folder: Path) -> None:
    n = stage.number
    report.heading("Where to go next")
    report.line(f"Read why:            make stage-{n} audit")
    report.line(f"See it on the wire:  make wireshark FILE={folder}/sniffer-room.pcapng")
    report.line(
        f"Attack it yourself:  make stage-{n} server, and make stage-{n} client NAME=alice in another terminal;"
    )
    report.line(f"                     what to type then stands in stages/{stage.package}/README.md")
    report.line(f"Sit at the hosts:    make stage-{n} lan")
    report.line(f"One attack, closely: make stage-{n} sniffer ARGS=-v")


def _check_target(path: Path, pairs: Sequence[tuple[Attack, Goal, str]]) -> None:
    """Before anything is run: can the capture be written there? Raises LabError."""
    if len(pairs) > 1:
        raise LabError("--write takes one goal; choose it with --goal.")
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise LabError(f"--write takes a file in a folder that exists; {path} is none.")


def _write(bench: Bench, cells: Sequence[Cell], path: Path) -> None:
    if cells[-1].id not in bench.recordings:
        raise LabError(f"There is no capture of {cells[-1].id}: {cells[-1].reason}.")
    try:
        bench.recordings[cells[-1].id].write(path)
    except OSError as error:
        raise LabError(f"Cannot write {path} ({error.strerror}).") from None


def _status(cells: Sequence[Cell]) -> int:
    """The exit status of an attack (design, section 8)."""
    verdicts = {cell.verdict for cell in cells}
    return BROKEN if "broken" in verdicts else HELD if "held" in verdicts else NOT_RUN


def as_expected(cells: Sequence[Cell], report: Report) -> int:
    """0 when every verdict is the expected one; under levers that no expectation names, when every attack ran to a
    verdict."""
    wrong = [cell.id for cell in cells if cell.expected not in ("", cell.verdict)]
    if wrong:
        report.line(f"Not as expected: {', '.join(wrong)}.", "bold yellow")
    return UNEXPECTED if wrong else 0
