"""Every rogue certificate: refused by default, for its own reason; taken under the levers that leave out that look."""

import asyncio
import os

import pytest

import attacks
import stages
from common.levers import Levers
from common.text import CONTINUATION
from lab.bench import Bench, Cell

NETWORK = os.environ.get("NETWORK") or "auto"
ROGUE = attacks.find("rogue_certificate")
GOAL = ROGUE.goal("server")
REASONS = {
    "self-signed": "self-signed certificate",
    "unknown-ca": "self-signed certificate in certificate chain",
    "wrong-name": "Hostname mismatch, certificate is not valid for 'server.lab.test'",
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "non-ca-issuer": "invalid CA certificate",
    "client-certificate": "unsuitable certificate purpose",
    "weak-key": "EE certificate key too weak",
}


def run(stage: int, case: str, levers: str) -> tuple[Cell, list[str]]:
    """The cell, and what Alice saw of alarms."""
    shown: list[str] = []

    async def one() -> Cell:
        at = stages.find(stage)
        async with Bench.open(NETWORK) as bench:
            watch = lambda place, text: shown.append(text) if place == "alice" else None  # noqa: E731
            return await bench.cell(at, Levers.parse(levers, at.levers), ROGUE, GOAL, watch, case)

    return asyncio.run(one()), shown


def test_every_case_has_its_reason() -> None:
    assert set(GOAL.cases) == set(REASONS)


@pytest.mark.parametrize("case", REASONS)
def test_certificate_is_refused_for_its_own_reason_and_alice_is_told(case: str) -> None:
    cell, shown = run(4, case, "")
    assert (cell.verdict, cell.told, cell.id) == ("held", True, f"rogue_certificate/server/{case}")
    words = "".join(row.removeprefix(CONTINUATION) for row in shown)
    assert f"somebody is in between: {REASONS[case]}" in words, words


@pytest.mark.parametrize("case", REASONS)
@pytest.mark.parametrize("stage", [4, 5])
def test_certificate_is_taken_where_that_look_is_left_out(stage: int, case: str) -> None:
    cell, _ = run(stage, case, GOAL.ablation_at(stage, case))
    assert cell.verdict == "broken", cell.reason


@pytest.mark.parametrize("case", sorted(set(REASONS) - {"wrong-name"}))
def test_only_the_wrong_name_passes_where_only_the_name_is_left_out(case: str) -> None:
    assert run(4, case, "verify=no-hostname")[0].verdict == "held"
