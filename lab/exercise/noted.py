"""What is written down of an exercise: begun, passed, given up."""

from typing import Literal

from lab import progress
from lab.hints import of
from stages import Stage


def note(stage: Stage, how: Literal["begun", "passed", "given-up"]) -> None:
    """Write it into the person's progress."""
    progress.note(stage.number, exercise=how)


def at(stage: Stage, requirement: str, *, hint_shown: str) -> None:
    """The person is at this requirement: `lab hint` helps with it. hint_shown: where a check has shown the first of its
    hints already, the next is the second."""
    first, *_ = of(stage.number, requirement)
    progress.note(stage.number, hint=(requirement, 1) if hint_shown == first else None, at=requirement)
