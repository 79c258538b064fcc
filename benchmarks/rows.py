"""What a benchmark hands to the page: rows, one for each comparison, and where the time went of those that miss."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.targets import TARGETS
from common.errors import LabError
from common.files import write_whole

KEPT: Final = Path(__file__).parent / "results.json"
Tell = Callable[[str], None]
"""How a benchmark says what it does at the moment."""


def machine() -> str:
    """What it ran on: nothing that names the machine or its owner."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure, and what it is measured against.

    target: the short name of one of TARGETS; none where nothing was asked.
    ours, theirs: in `unit`; theirs is 0 where the figure stands for itself.
    why: where it is not met, in a sentence, if it is known at once. profile: the name of a profile that shows it.
    """

    name: str
    ours: float
    unit: str
    against: str = ""
    theirs: float = 0.0
    target: str = ""
    why: str = ""
    profile: str = ""

    @property
    def figure(self) -> float:
        """What is compared with the target: the ratio, or ours alone."""
        return self.ours / self.theirs if self.theirs else self.ours

    @property
    def met(self) -> bool | None:
        """Is the target met? None where there is none."""
        return TARGETS[self.target].met(self.figure) if self.target else None


class Slice(msgspec.Struct, frozen=True):
    """A part of a program's time: what share of all, in which function, at which line."""

    share: float
    function: str
    line: str


class Result(msgspec.Struct, kw_only=True):
    """What came of one subject's run. `left_out`: what was not measured, and why."""

    limits: str
    rows: list[Row] = []
    left_out: list[str] = []
    profiles: dict[str, list[Slice]] = {}
    when: str = msgspec.field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M"))
    machine: str = msgspec.field(default_factory=machine)
    seconds: float = 0.0


def kept(file: Path = KEPT) -> dict[str, Result]:
    """The last result of each subject that was ever run. Raises LabError for a file that is none."""
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Result])
    except msgspec.MsgspecError as error:
        raise LabError(f"{file} holds no results ({error}); take it away, and measure again.") from None


def keep(subject: str, result: Result, file: Path = KEPT) -> dict[str, Result]:
    """Put one subject's result in the place of its last; the others stay."""
    results = kept(file) | {subject: result}
    write_whole(file, msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n", mode=0o644)
    return results
