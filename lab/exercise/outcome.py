"""What comes of a check."""

import builtins
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

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

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"passed": self.passed, **asdict(self)}
