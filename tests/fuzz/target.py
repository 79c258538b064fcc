"""What a target is: how its inputs are made, and the check that each of them must pass."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.cases import Make

Check = Callable[[bytes, Random], None]
"""Does something with an input; raises whatever is wrong. The Random is for where to cut, and the like."""


@dataclass(frozen=True)
class Target:
    """One parser.

    prepare: is given a folder of its own, once a process, and returns the check and what makes inputs.
    share: how many of a thousand cases are its.
    """

    name: str
    prepare: Callable[[Path], tuple[Make, Check]]
    share: float
