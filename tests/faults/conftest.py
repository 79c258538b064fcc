"""Chance that can be had again: a seed for every test, which is printed where the test fails."""

import os
import random
import secrets

import pytest

WHOLE = bool(os.environ.get("LAB_WHOLE"))
"""`make faults` runs all rounds; every other run of the tests a few."""


@pytest.fixture
def dice() -> random.Random:
    """Chance, from SEED= or a new seed. What is printed here is shown where the test fails."""
    seed = os.environ.get("SEED") or str(secrets.randbelow(1 << 32))
    print(f"The same again: make faults SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def whole() -> bool:
    """Are all rounds wanted?"""
    return WHOLE
