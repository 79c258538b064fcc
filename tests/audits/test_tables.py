"""The tables that follow from findings and verdicts: what became of the stage before, the index, the matrix."""

import re

import pytest

import attacks
from lab import audits
from lab.audit_blocks import blocks
from lab.audit_tables import fixes_table, index_table
from lab.findings import Finding, findings
from stages import Stage
from tests.audits.pages import FIELD, STAGES, expected_verdicts
from tests.audits.test_findings import GOOD

each_later_stage = pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: f"stage-{stage.number}")


def rows_of(table: str) -> list[list[str]]:
    """The cells of each row below a table's head."""
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]


@each_later_stage
def test_every_finding_of_the_stage_before_has_its_row(stage: Stage) -> None:
    (table,) = (block.body for block in blocks(audits.read(stage)) if block.kind == "fixes")
    before = audits.findings_of(STAGES[stage.number - 2])
    assert [row[0] for row in rows_of(table)] == [f"{finding.id}: {finding.title}" for finding in before]


@each_later_stage
def test_every_fix_is_a_held_cell_with_its_ablation(stage: Stage) -> None:
    """That the ablation breaks it, tests/lab/test_matrix.py runs."""
    for finding in audits.findings_of(STAGES[stage.number - 2]):
        for cell in finding.cells:
            name, _, rest = cell.partition("/")
            goal = attacks.find(name).goal(rest)
            if goal.expected_at(stage.number) == "held":
                assert goal.ablation_at(stage.number), f"{finding.id}: {cell}"


@each_later_stage
def test_fixes_are_those_that_the_verdicts_give(stage: Stage) -> None:
    text = audits.read(stage)
    table = fixes_table(
        audits.findings_of(STAGES[stage.number - 2]), audits.findings_of(stage), stage.number, expected_verdicts()
    )
    assert [block.body.strip() for block in blocks(text) if block.kind == "fixes"] == [table], "run: make audits"


def two(cells: str) -> Finding:
    """The good finding, with other cells."""
    text = GOOD.replace("`sniffer/room`, `sniffer/whispers`", ", ".join(f"`{cell}`" for cell in cells.split()))
    evidence = "\n\n".join(f"<!-- evidence: {cell} -->\n<!-- /evidence -->" for cell in cells.split())
    text = re.sub(r"<!-- evidence.*/evidence -->", evidence, text, flags=re.DOTALL)
    (finding,) = findings(text, "page.md")
    return finding


@pytest.mark.parametrize(
    ("letters", "status", "held", "broken"),
    [
        (("held", "held"), "Resolved", "`mitm/read` (`cipher=off`), `mitm/modify` (`cipher=off`)", ""),
        (("held", "broken"), "Partly", "`mitm/read` (`cipher=off`)", "`mitm/modify` (S1-01)"),
        (("broken", "broken"), "Unresolved", "", "`mitm/read` (no finding), `mitm/modify` (S1-01)"),
    ],
)
def test_status_of_a_fix_is_that_of_its_cells(
    letters: tuple[str, str], status: str, held: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks.Goal, "ablation_at", lambda *_: "cipher=off")
    verdicts = {(f"mitm/{goal}", 4): verdict for goal, verdict in zip(("read", "modify"), letters, strict=True)}
    table = fixes_table([two("mitm/read mitm/modify")], [two("mitm/modify")], 4, verdicts)
    assert rows_of(table) == [["S1-01: A title", status, held, broken]]


def test_cell_that_does_not_apply_any_more_is_shown_with_the_reason() -> None:
    goal = attacks.find("sniffer").goal("passwords")
    table = fixes_table([two("sniffer/passwords")], [], 1, {("sniffer/passwords", 1): "not-applicable"})
    assert rows_of(table) == [["S1-01: A title", "Resolved", f"`sniffer/passwords` does not apply: {goal.absent}", ""]]


def test_index_counts_findings_by_severity_and_difficulty_and_names_the_highest() -> None:
    page = audits.FOLDER / "page.md"
    (row,) = rows_of(index_table([(page, "Audit of nothing", [two("mitm/read"), two("mitm/modify")])]))
    assert row == ["[Audit of nothing](page.md)", "2", "–", "2", "–", "–", "2", "–", "–", "7.1 (S1-01)"]


def test_index_is_that_of_the_audits() -> None:
    text = audits.INDEX.read_text(encoding="utf-8")
    assert audits.with_index(text) == text, "run: make audits"
    for page in [*map(audits.path_of, STAGES), *FIELD]:
        assert f"]({page.name})" in text
