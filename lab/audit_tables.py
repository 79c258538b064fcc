"""The tables of the audits and of the README that follow from findings and verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attacks
import stages
from lab.bench import Bench, Cell
from lab.findings import DIFFICULTIES, Finding
from lab.matrix import everything, run
from lab.scores import RATINGS
from lab.verbs import selected
from stages import Stage

Verdicts = Mapping[tuple[str, int], str]
"""Of a cell, by its id and the number of the stage: broken, held or not-applicable, with default levers."""

LETTERS: Final = {"broken": "**B**", "held": "H", "not-applicable": "–"}


def findings_table(found: Sequence[Finding]) -> str:
    """The findings, one a row."""
    rows = ["| Id | Finding | Severity | CVSS 4.0 | Difficulty | Cells |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {f.id} | {f.title} | {f.score.rating} | {f.score.value} | {f.difficulty} | {_code(f.cells)} |"
        for f in found
    ]
    return "\n".join(rows)


def fixes_table(before: Sequence[Finding], here: Sequence[Finding], number: int, verdicts: Verdicts) -> str:
    """What became, at the stage of this number, of each finding of the stage before."""
    rows = ["| Left open | Status | Held now (broken again under) | Still broken (as) |", "|---|---|---|---|"]
    at = {cell: finding.id for finding in here for cell in finding.cells}
    for finding in before:
        broken = [cell for cell in finding.cells if verdicts[cell, number] == "broken"]
        over = [_over(cell, number, verdicts) for cell in finding.cells if cell not in broken]
        still = [f"`{cell}` ({at.get(cell, 'no finding')})" for cell in broken]
        status = "Resolved" if not broken else "Partly" if over else "Unresolved"
        rows.append(f"| {finding.id}: {finding.title} | {status} | {', '.join(over)} | {', '.join(still)} |")
    return "\n".join(rows)


def _over(cell: str, number: int, verdicts: Verdicts) -> str:
    """A cell that is broken no more, with its ablation, or with why it does not apply."""
    name, _, rest = cell.partition("/")
    goal = attacks.find(name).goal(rest)
    if verdicts[cell, number] == "not-applicable":
        return f"`{cell}` does not apply: {goal.absent}"
    return f"`{cell}` (`{goal.ablation_at(number)}`)"


def index_table(audits: Sequence[tuple[Path, str, Sequence[Finding]]]) -> str:
    """Every audit (its file, what it is about, its findings), one a row, with its findings counted."""
    names = [*RATINGS, *(f"{name.lower()} difficulty" for name in DIFFICULTIES)]
    rows = [f"| Audit | Findings | {' | '.join(names)} | Highest |", "|---|" + ":-:|" * (len(names) + 1) + "---|"]
    for file, about, found in audits:
        counts = [sum(f.score.rating == rating for f in found) for rating in RATINGS]
        counts += [sum(f.difficulty == difficulty for f in found) for difficulty in DIFFICULTIES]
        highest = max(found, key=lambda f: f.score.value)
        counted = " | ".join(str(count or "–") for count in counts)
        rows.append(f"| [{about}]({file.name}) | {len(found)} | {counted} | {highest.score.value} ({highest.id}) |")
    return "\n".join(rows)


def matrix_table(verdicts: Verdicts) -> str:
    """Every attack's goals, one a row, and a letter for each stage."""
    every = list(stages.catalogue())
    rows = [f"| Attack | Position | Goal | {' | '.join(map(str, every))} |", "|---|---|---|" + ":-:|" * len(every)]
    for attack in attacks.catalogue():
        for goal in attack.goals:
            letters = [LETTERS[verdicts[f"{attack.name}/{goal.name}", number]] for number in every]
            about = f"{attack.position} | {goal.about}"
            rows.append(f"| `{attack.name}/{goal.name}` | {about} | {' | '.join(letters)} |")
    return "\n".join(rows)


async def verdicts_of(
    side_by_side: Sequence[Bench], ran: Mapping[Stage, Sequence[Cell]], of: Sequence[Stage]
) -> dict[tuple[str, int], str]:
    """The verdict of every cell of these stages: of those that were run already, and of all others now. Where a goal
    is tried in several ways, one that works is enough."""
    found = {(cell.id, stage.number): cell.verdict for stage, cells in ran.items() for cell in cells if not cell.levers}
    items = everything(of, selected([], ""))
    missing = [i for i in items if (f"{i.attack.name}/{i.goal.name}", i.stage.number) not in found]
    for item, cell in zip(missing, await run(side_by_side, missing), strict=True):
        at = (f"{item.attack.name}/{item.goal.name}", item.stage.number)
        not_here = item.goal.lan_only and side_by_side[0].kind != "lan"  # the matrix is what the LAN gives
        verdict = item.goal.expected_at(item.stage.number) if not_here else cell.verdict
        found[at] = "broken" if "broken" in (verdict, found.get(at)) else verdict
    return found


def _code(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
