"""The evidence in the audits is what a run gives, byte for byte, and still shows what the findings say."""

import asyncio
import json
import re
from pathlib import Path

import pytest

import stages
from lab import audits
from lab.audit_blocks import blocks, cited
from lab.bench import Bench, Cell
from lab.verbs import Options
from stages import Stage
from tests.audits.pages import FIELD, Run, each_stage, expected_verdicts


@each_stage
def test_audit_is_what_a_run_gives_byte_for_byte(stage: Stage, ran: dict[int, Run]) -> None:
    text = audits.read(stage)
    assert audits.regenerated(text, stage, ran[stage.number].bodies, expected_verdicts()) == text, "run: make audits"


@each_stage
def test_every_finding_is_still_true(stage: Stage, ran: dict[int, Run]) -> None:
    assert audits.not_broken(audits.findings_of(stage), ran[stage.number].cells.values()) == []


@each_stage
def test_evidence_has_nothing_random_in_it(stage: Stage) -> None:
    for block in blocks(audits.read(stage)):
        if block.kind == "evidence":
            assert not re.search(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]{12}|frame", block.body)


def test_finding_whose_cell_held_is_named() -> None:
    found = audits.findings_of(stages.find(1))
    held = Cell("sniffer", "room", "", 1, {}, "held", False, "")
    turned = Cell("sniffer", "whispers", "", 1, {"framing": "none"}, "held", False, "")
    assert [(f.id, cell.id) for f, cell in audits.not_broken(found, [held, turned])] == [("S1-01", "sniffer/room")]


def test_regenerate_writes_nothing_where_a_finding_is_no_longer_true(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def held(bench: Bench, stage: Stage, text: str) -> tuple[dict[str, str], list[Cell]]:
        return dict.fromkeys(cited(text), ""), [Cell("mitm", "read", "", 1, {}, "held", False, "")]

    def write(path: Path, text: str) -> None:
        pytest.fail(f"{path} was written")

    async def verdicts(bench: Bench, ran: dict[Stage, list[Cell]], of: list[Stage]) -> dict[tuple[str, int], str]:
        return expected_verdicts()

    async def of_field(*_: object) -> tuple[dict[Path, str], list[str]]:
        return {FIELD[0]: "another page"}, []

    monkeypatch.setattr(audits, "evidence_of", held)
    monkeypatch.setattr("lab.field.audit.renewed", of_field)
    monkeypatch.setattr(audits, "verdicts_of", verdicts)
    monkeypatch.setattr(audits, "write_text", write)
    assert asyncio.run(audits.regenerate((), Options(network="loopback", json=True))) == 1
    assert "S1-06 cites mitm/read" in json.loads(capsys.readouterr().out)["not_broken"]
