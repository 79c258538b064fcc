"""What is written down of an exercise: begun, passed, given up."""

from typing import Literal

from lab import progress
from stages import Stage


def note(stage: Stage, how: Literal["begun", "passed", "given-up"]) -> None:
    """Write it into the person's progress."""
    progress.note(stage.number, exercise=how)


def at(stage: Stage, requirement: str) -> None:
    """The person is at this requirement: `lab hint` helps with it."""
    progress.note(stage.number, at=requirement)
