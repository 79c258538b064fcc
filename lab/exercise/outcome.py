"""What comes of a check."""

import builtins
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from lab.exercise.declared import WORKS
from lab.exercise.program import NOT_WRITTEN

Status: TypeAlias = Literal["passed", "failed", "not-run"]


@dataclass(frozen=True)
class Result:
    """One requirement, and what was observed."""

    id: str
    title: str
    status: Status
    expected: str
    observed: str
    property: str
    hint: str
    section: str
    helps: str = ""
    """The requirement whose hints help: this one, or the one that what was observed is about."""

    @builtins.property
    def passed(self) -> bool:
        """Is it met?"""
        return self.status == "passed"


@dataclass(frozen=True)
class Outcome:
    """All requirements of one submission."""

    stage: int
    folder: str
    requirements: tuple[Result, ...]
    isolated: bool
    not_isolated: str
    network: str
    seconds: float
    printed: str

    @property
    def passed(self) -> bool:
        """Are all of them met?"""
        return all(result.passed for result in self.requirements)

    @property
    def next(self) -> Result | None:
        """The one to go on with: what is wrong in particular helps more than that it does not work, or than what is
        not written yet."""
        failed = [result for result in self.requirements if result.status == "failed"]
        return min(
            failed, key=lambda result: (result.id == WORKS, result.observed.startswith(NOT_WRITTEN)), default=None
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"passed": self.passed, **asdict(self)}
