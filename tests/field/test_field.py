"""The field audit, run for real: every goal, every lever, and the page that says what came of them."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from common.errors import LabError
from common.levers import Levers
from lab import cli, matrix
from lab.bench import Cell
from lab.field import NGIRCD, audit, ngircd
from lab.field.attacks import FIELD
from lab.field.scene import FieldScene
from lab.field.verbs import WIDTH, goals, items, play, what_ifs
from lab.findings import findings
from lab.matrix import benches, unproven
from lab.report import Report
from lab.runs import ROOT

NETWORK = os.environ.get("NETWORK") or "auto"
GOALS = {f"{attack.name}/{goal.name}": goal for attack, goal in goals()}
PAGE = audit.PAGE.read_text(encoding="utf-8")

each_goal = pytest.mark.parametrize("name", GOALS)


class Ran(NamedTuple):
    """What the audit's evidence came to."""

    bodies: Mapping[str, str]
    cells: Mapping[str, Cell]


@pytest.fixture(scope="module")
def ran() -> Ran:
    """Every cell that the audit cites, and what comes of other levers; run once."""
    try:
        ngircd.program()
    except LabError:
        pytest.skip("needs ngircd: sudo apt install ngircd")

    async def whole() -> Ran:
        async with benches(NETWORK, WIDTH) as side_by_side:
            bodies, cells = await audit.evidence_of(side_by_side, PAGE)
            return Ran(bodies, dict(zip(bodies, cells, strict=True)))

    return asyncio.run(whole())


@each_goal
def test_goal_is_as_expected_and_shown_by_turning_its_levers(ran: Ran, name: str) -> None:
    cell = ran.cells[name]
    assert cell.verdict == cell.expected, f"{cell.reason}; it {cell.did}"
    assert list(unproven(cell)) == []
    assert {run.levers: run.expected for run in cell.what_ifs} == GOALS[name].what_ifs_at(1)


@each_goal
def test_every_goal_is_reached_somewhere_and_held_somewhere(ran: Ran, name: str) -> None:
    cell = ran.cells[name]
    assert {cell.verdict, *what_ifs(cell).values()} == {"broken", "held"}


@pytest.mark.parametrize("levers", ["", "transport=tls", "transport=tls verify=none", "access=password"])
def test_all_that_is_said_arrives_and_nobody_is_alarmed_where_nobody_attacks(ran: Ran, levers: str) -> None:
    async def control() -> FieldScene:
        async with benches(NETWORK, 1) as (bench,):
            play([bench])
            scene = await bench.control(NGIRCD, Levers.parse(levers, NGIRCD.levers))
            assert isinstance(scene, FieldScene)
            return scene

    scene = asyncio.run(control())
    assert [spoken.who for spoken in scene.spoken] == ["alice", "bob", "alice", "carol", "alice", "bob"]
    assert scene.unheard == []
    assert any("IRC operator" in text for text in scene.screens["alice"].of("notice"))


def test_every_goal_is_as_expected_on_loopback_too(ran: Ran) -> None:
    async def whole() -> list[Cell]:
        async with benches("loopback", WIDTH) as side_by_side:
            play(side_by_side)
            return await matrix.run(side_by_side, items())

    cells = asyncio.run(whole())
    assert {cell.id: cell.verdict for cell in cells} == {name: goal.expected_at(1) for name, goal in GOALS.items()}


def test_tls_does_not_mend_names(ran: Ran) -> None:
    for goal in ("absent", "look-alike"):
        assert what_ifs(ran.cells[f"impersonation/{goal}"])["transport=tls"] == "broken"


def test_tls_without_verification_is_broken_from_the_path(ran: Ran) -> None:
    for goal in ("read", "modify", "insert", "private"):
        came = what_ifs(ran.cells[f"mitm/{goal}"])
        assert (came["transport=tls"], came["transport=tls verify=none"]) == ("held", "broken")


def test_members_are_told_why_where_they_refuse_the_man_in_the_middle(ran: Ran) -> None:
    cell = ran.cells["mitm/modify transport=tls"]
    assert (cell.verdict, cell.told) == ("held", True)


def test_alice_is_told_that_she_was_thrown_out(ran: Ran) -> None:
    assert ran.cells["stolen_operator/kill"].told
    assert not ran.cells["impersonation/absent"].told


def test_whoever_asks_for_a_nick_in_use_is_answered_433(ran: Ran) -> None:
    assert "server → mallory  :irc.lab.test 433 * alice :‹words›\n" in ran.bodies["impersonation/present"]


def test_the_operators_password_is_one_line_on_the_wire(ran: Ran) -> None:
    assert "wire     alice → server    OPER alice ‹canary›\n" in ran.bodies["sniffer/password"]


def test_audit_says_what_a_run_gives(ran: Ran) -> None:
    assert audit.regenerated(PAGE, ran.bodies) == PAGE


def test_make_audits_renews_the_page_and_names_a_finding_that_is_no_longer_true(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = list(ran.cells.values())

    async def evidence(*_: object) -> tuple[Mapping[str, str], list[Cell]]:
        return ran.bodies, cells

    monkeypatch.setattr(audit, "evidence_of", evidence)
    assert asyncio.run(audit.renewed([], Report(quiet=True))) == ({audit.PAGE: PAGE}, [])
    cells[0] = replace(cells[0], verdict="held")
    assert asyncio.run(audit.renewed([], Report(quiet=True)))[1] == ["F1-01 cites sniffer/channel"]


def test_make_audits_leaves_the_page_as_it_is_where_there_is_no_ngircd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    report = Report(quiet=True)
    assert asyncio.run(audit.renewed([], report)) == ({}, [])
    assert "sudo apt install ngircd" in report.transcript[0]


def test_each_goal_that_is_reached_belongs_to_one_finding_and_each_finding_to_such_goals() -> None:
    cells = [cell for finding in findings(PAGE, audit.PAGE.name) for cell in finding.cells]
    assert sorted(cells) == sorted(name for name, goal in GOALS.items() if goal.expected_at(1) == "broken")


def test_finding_names_the_positions_of_its_attacks_and_tests_that_exist() -> None:
    for finding in findings(PAGE, audit.PAGE.name):
        assert set(finding.positions) == {FIELD[cell.partition("/")[0]].position for cell in finding.cells}
        for test in finding.held_by:
            file = (audit.PAGE.parent / test.link).resolve()
            assert file == ROOT / test.label
            assert f"def {test.name}(" in file.read_text(encoding="utf-8")


def test_audit_names_what_held(ran: Ran) -> None:
    held = PAGE.partition("## What held, and why")[2].partition("## Residual risk")[0]
    for name, goal in GOALS.items():
        assert goal.expected_at(1) == "broken" or f"<!-- evidence: {name} -->" in held


def test_lab_field_runs_one_attack_and_prints_one_json_object(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["field", "stolen_operator", "--json", "--network", NETWORK]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["target"].startswith("ngIRCd ")
    assert [cell["attack"] for cell in said["cells"]] == ["stolen_operator"]
    assert "stage" not in said["cells"][0]
    assert (tmp_path / said["run"] / "stolen_operator-kill.pcapng").exists()


def test_lab_field_runs_under_other_levers(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["field", "sniffer", "--levers", "transport=tls", "--network", NETWORK]) == 0
    assert capsys.readouterr().out.count("HELD ") == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "The field has no attack nonsense; it has: sniffer, impersonation, stolen_operator, mitm."),
        (["--levers", "cipher=off"], "There is no lever cipher here; these exist: transport, verify, access, alice"),
    ],
)
def test_lab_field_says_in_one_sentence_what_was_mistyped(
    ran: Ran, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["field", *words]) == 2
    assert capsys.readouterr().err.startswith(said)
