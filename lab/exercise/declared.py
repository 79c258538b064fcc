"""What each exercise asks for, from `stageN.toml` beside this file: read strictly, an unknown key is an error."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from common.errors import LabError

Id = Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")]
WORKS: Final = "works"
"""The requirement that is looked at first: the honest scene."""


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that the learner's code must do.

    property: which property of the system is violated where it does not.
    section: the heading of the stage's handout that helps.
    cells: attacks that must be held, as `attack/goal` or `attack/goal/case`.
    probes: what is asked of the code directly (names in `lab.exercise.probes`).
    """

    id: Id
    title: str
    expected: str
    property: str
    section: str
    hints: Annotated[list[str], Meta(min_length=3, max_length=3)]
    cells: list[str] = []
    probes: list[str] = []


class Exercise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stage's exercise.

    blanks: by file, the functions whose bodies are to be written, and what each has to do.
    attach: files that the learner changes from how the stage before has them; with `--attached`, they are given.
    messages: the protocol's messages in order, as the task shows them.
    steps: how to go about it, a step a line.
    """

    title: str
    about: str
    blanks: dict[str, dict[str, str]]
    steps: list[str]
    messages: str
    attaching: list[str]
    requirement: list[Requirement]
    attach: list[str] = []

    @property
    def requirements(self) -> list[Requirement]:
        """In the order in which they are told."""
        return self.requirement

    def find(self, requirement: str) -> Requirement:
        """Raises LabError where there is none."""
        for one in self.requirement:
            if one.id == requirement:
                return one
        there = ", ".join(one.id for one in self.requirement)
        raise LabError(f"This exercise has no requirement {requirement}; it has: {there}.")


@cache
def exercise(stage: int) -> Exercise:
    """The exercise of this stage. Raises LabError where there is none."""
    file = Path(__file__).with_name(f"stage{stage}.toml")
    if not file.exists():
        raise LabError(f"There is no exercise for stage {stage} yet.")
    return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Exercise)


def all_hints(stage: int) -> dict[str, list[str]]:
    """Every requirement of a stage's exercise with its three hints; none where there is no exercise."""
    try:
        return {one.id: one.hints for one in exercise(stage).requirements}
    except LabError:
        return {}


def hints(stage: int, requirement: str) -> list[str]:
    """The three hints of a requirement, from a nudge to nearly the answer. Raises LabError."""
    return exercise(stage).find(requirement).hints
