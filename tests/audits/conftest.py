"""Every audit's evidence, run once for all tests that compare with it."""

import asyncio
import os

import pytest

from common.lan import LanUnavailable
from lab import audits, evidence, matrix
from lab.bench import Bench
from stages import Stage
from tests.audits.pages import STAGES, Run


@pytest.fixture(scope="session")
def ran() -> dict[int, Run]:
    """Every audit's evidence, run once on the network that NETWORK= names, or the best there is."""

    async def every() -> dict[int, Run]:
        async def one(bench: Bench, stage: Stage) -> Run:
            return Run(*await evidence.evidence_of(bench, stage, audits.read(stage)))

        async with matrix.benches(os.environ.get("NETWORK") or "auto") as side_by_side:
            runs = await matrix.shared(side_by_side, STAGES, one)
            return {stage.number: run for stage, run in zip(STAGES, runs, strict=True)}

    try:
        return asyncio.run(every())
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")
