"""The audits: prose by people, evidence by the bench. `make audits` brings the two together again.

An audit is a Markdown file, `audits/<stage's slug>.md`. `findings` reads its findings; what a machine knows better
stands in blocks (`audit_blocks`), whose contents are made by `evidence`, `message_fields` and `audit_tables`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import stages
from common.errors import LabError
from lab.audit_blocks import check_kinds, written
from lab.audit_tables import Verdicts, findings_table, fixes_table, index_table, matrix_table, verdicts_of
from lab.bench import Bench, Cell
from lab.evidence import evidence_of
from lab.field import audit as field_audit
from lab.findings import Finding, findings, written_anew
from lab.matrix import benches, shared
from lab.message_fields import fields_table
from lab.report import Report
from lab.runs import ROOT, write_text
from lab.verbs import Options
from stages import Stage

NOT_BROKEN: Final = 1
README: Final = ROOT / "README.md"
FOLDER: Final = ROOT / "audits"
INDEX: Final = FOLDER / "README.md"


def path_of(stage: Stage) -> Path:
    """Where the stage's audit stands."""
    return FOLDER / f"{stage.slug}.md"


def read(stage: Stage) -> str:
    """The stage's audit, markers included. Raises LabError where it has none."""
    try:
        return path_of(stage).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LabError(f"Stage {stage.number} has no audit yet; it will be audits/{stage.slug}.md.") from None


def findings_of(stage: Stage) -> list[Finding]:
    """The findings of the stage's audit. Raises LabError."""
    return findings(read(stage), path_of(stage).name)


def regenerated(text: str, stage: Stage, evidence: Mapping[str, str], verdicts: Verdicts) -> str:
    """The audit with all that a machine writes written anew. Raises LabError."""
    page = path_of(stage)
    text = written_anew(text, page)
    found = findings(text, page.name)

    def fixes(_: str) -> str:
        return fixes_table(findings_of(stages.find(stage.number - 1)), found, stage.number, verdicts)

    bodies = {
        "evidence": lambda about: evidence[about],
        "fields": lambda _: fields_table(stage),
        "findings": lambda _: findings_table(found),
        "fixes": fixes,
    }
    check_kinds(text, f"audits/{page.name}", bodies)
    return written(text, bodies)


def with_matrix(text: str, verdicts: Verdicts) -> str:
    """The README with its block of the matrix written anew."""
    return written(text, {"matrix": lambda _: matrix_table(verdicts)})


def with_index(text: str) -> str:
    """The audits' own README with its index written anew, field audits included. Raises LabError."""
    pages = [path_of(stage) for stage in stages.catalogue().values()] + sorted(FOLDER.glob("field-*.md"))
    audits = []
    for page in pages:
        audit = page.read_text(encoding="utf-8")
        title = re.match(r"# (.+)", audit)
        audits.append((page, title[1] if title else page.stem, findings(audit, page.name)))
    return written(text, {"index": lambda _: index_table(audits)})


async def regenerate(numbers: Sequence[int], options: Options) -> int:
    """Run what these stages' audits cite, or all, and write the pages anew; 1, and nothing written, where a finding's
    cell held. The two READMEs are written when all are."""
    from rich.progress import Progress

    if options.levers:
        raise LabError("An audit says itself under which levers its evidence was made; leave LEVERS= out.")
    report = Report(quiet=options.json)
    texts = {stage: read(stage) for stage in [stages.find(n) for n in numbers] or stages.catalogue().values()}
    for stage, text in texts.items():
        written_anew(text, path_of(stage))  # what is wrong in a page is said before an hour is spent
    bodies: dict[Stage, dict[str, str]] = {}
    ran: dict[Stage, list[Cell]] = {}
    async with benches(options.network) as side_by_side:
        with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
            task = progress.add_task("running the evidence", total=len(texts))

            async def again(bench: Bench, stage: Stage) -> None:
                bodies[stage], ran[stage] = await evidence_of(bench, stage, texts[stage])
                progress.advance(task)

            await shared(side_by_side, list(texts), again)
        network = side_by_side[0].kind
        verdicts = await verdicts_of(side_by_side, ran, list(texts))
        of_field, held = ({}, []) if numbers else await field_audit.renewed(side_by_side, report)
    pages = {path_of(stage): regenerated(texts[stage], stage, bodies[stage], verdicts) for stage in texts}
    pages |= of_field
    held += [f"{f.id} cites {cell.id}" for s, cells in ran.items() for f, cell in not_broken(findings_of(s), cells)]
    if held:
        report.line(
            f"These cells were not broken, so their findings are no longer true: {'; '.join(held)}.", "bold yellow"
        )
    changed = _write(pages, report) if not held else []
    if not held and not numbers:
        changed += _write({README: with_matrix(README.read_text(encoding="utf-8"), verdicts)}, report)
        changed += _write({INDEX: with_index(INDEX.read_text(encoding="utf-8"))}, report)
    if options.json:
        print(json.dumps(_summary(network, ran, changed, held), indent=2))
    return NOT_BROKEN if held else 0


def _write(pages: Mapping[Path, str], report: Report) -> list[Path]:
    """Write those pages that have changed; which."""
    changed = [page for page, text in pages.items() if page.read_text(encoding="utf-8") != text]
    for page, text in pages.items():
        if page in changed:
            write_text(page, text)
        report.line(f"{page.relative_to(ROOT)}: {'written anew' if page in changed else 'as it was'}.")
    return changed


def not_broken(found: Iterable[Finding], cells: Iterable[Cell]) -> list[tuple[Finding, Cell]]:
    """The findings whose cell was run with the stage's own levers and was not broken."""
    ran = {cell.id: cell for cell in cells if not cell.levers and cell.verdict != "broken"}
    return [(f, ran[cell]) for f in found for cell in f.cells if cell in ran]


def _summary(
    network: str, ran: Mapping[Stage, Sequence[Cell]], changed: Sequence[Path], held: Sequence[str]
) -> dict[str, Any]:
    audits = [
        {
            "file": f"audits/{path_of(stage).name}",
            "changed": path_of(stage) in changed,
            "cells": [{"id": cell.id, "verdict": cell.verdict} for cell in cells],
        }
        for stage, cells in ran.items()
    ]
    return {"network": network, "audits": audits, "not_broken": list(held)}
