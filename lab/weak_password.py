"""A password as many people choose it: for whoever shall be guessed.

The package zxcvbn (MIT) has 30,000 passwords, ordered by how often each was found among ten million leaked ones.
"""

import secrets
from functools import cache
from typing import Final

FIRST_RANK: Final = 5_000
LAST_RANK: Final = 10_000


@cache
def _common() -> list[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return list(FREQUENCY_LISTS["passwords"])


def draw() -> str:
    """One of those that are neither the first that anybody tries nor rare."""
    return secrets.choice(_common()[FIRST_RANK - 1 : LAST_RANK])


def rank(password: str) -> int:
    """Its place in the list, from 1; 0 where it is not there."""
    return _common().index(password) + 1 if password in _common() else 0
