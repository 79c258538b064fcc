"""A test need not wait as long as a person's machine might for what never comes."""

import pytest


@pytest.fixture(autouse=True)
def _impatient_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what an attack holds back; ten times as long as the slowest step took is waited all the same."""
    monkeypatch.setattr("lab.bench.PATIENCE", 0.7)
