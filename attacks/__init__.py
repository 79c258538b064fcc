"""The attacks: one script a family, one shape for all.

An attack has a name (its module's), a position, goals, a docstring that tells its story, and one coroutine that gets
a `Foothold` and returns a `Claim`. It never prints and never judges: whether a goal was reached is the referee's word
(`lab.referee`), from canaries that the attack is never shown and from the victims' screens.

    @attack(position="outsider", goals=(Goal("room", "speak in the room as Alice", wins="forged-room", expected="B"),))
    async def impersonation(foothold: Foothold, goal: Goal) -> Claim:
        '''Alice has gone home. ...'''

An attack meets a stage only through what its position may touch: a host of its own, the server's address, and what
the scene makes public. It waits for a moment of the scene with `foothold.until("alice-left")`; the scene goes on
while it waits, and stands still while it works.
"""

import importlib
import pkgutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from common.errors import LabError

if TYPE_CHECKING:
    from common.hosts import Host
    from common.session import Address
    from stages import Stage

Position = Literal["tap", "on-path", "outsider", "insider"]

Moment = Literal["talking", "alice-left", "over"]
"""When an attack can ask to be woken: all three are there and have talked; Alice has left; everybody has left."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing an attack may be after.

    wins: the referee's rule (a key of `lab.referee.RULES`) that says whether it was reached.
    expected: a letter for each stage from 1 on, B broken, H held, - not applicable; a test compares every run.
    ablation: the levers under which a held goal is reached: what the defence is, shown by its absence.
    absent: why the goal does not apply where `expected` has a dash.
    """

    name: str
    about: str
    wins: str
    expected: str
    ablation: str = ""
    absent: str = ""

    def expected_at(self, stage: int) -> str:
        """`broken`, `held` or `not-applicable` at this stage with its default levers. Raises LabError."""
        if stage > len(self.expected):
            raise LabError(f"What is expected of the goal {self.name} at stage {stage} is not written down: add it.")
        return {"B": "broken", "H": "held", "-": "not-applicable"}[self.expected[stage - 1]]


@dataclass(slots=True)
class Claim:
    """What an attack believes it got or did. Only the referee decides what that is worth."""

    read: list[str] = field(default_factory=list)
    """Texts it thinks it has read."""
    did: str = ""
    """One sentence: what it did."""


class Foothold(Protocol):
    """What a position may touch."""

    stage: "Stage"
    host: "Host"
    server: "Address"
    """Name and TCP port of the server."""

    async def until(self, moment: Moment) -> None:
        """Let the scene go on to this moment; it stands still from then until the next call or the end."""

    def told(self, member: str) -> "Address":
        """The UDP address of a member, as it was made public."""

    def name_of(self, address: str) -> str:
        """The name of the host at this address, as anybody could look it up; the address where it has none."""

    def note(self, text: str) -> None:
        """Something worth telling whoever watches."""


Run = Callable[[Foothold, Goal], Coroutine[Any, Any, Claim]]


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack as the catalogue has it."""

    name: str
    position: Position
    goals: tuple[Goal, ...]
    story: str
    run: Run

    def goal(self, name: str) -> Goal:
        """The goal of this name. Raises LabError where there is none."""
        for goal in self.goals:
            if goal.name == name:
                return goal
        raise LabError(f"{self.name} has no goal {name}; it has: {', '.join(g.name for g in self.goals)}.")


_catalogue: dict[str, Attack] = {}


def attack(*, position: Position, goals: tuple[Goal, ...]) -> Callable[[Run], Run]:
    """Put an attack into the catalogue, under its function's name and with its docstring as its story."""

    def register(run: Run) -> Run:
        name = str(getattr(run, "__name__", ""))
        if run.__module__ == "__main__":  # `python -m attacks.sniffer`: the bench imports it again by its name
            return run
        if name in _catalogue:
            raise ValueError(f"two attacks are called {name}")
        if not run.__doc__:
            raise ValueError(f"the attack {name} tells no story")
        _catalogue[name] = Attack(name, position, goals, run.__doc__, run)
        return run

    return register


def names() -> list[str]:
    """Every attack's name, without importing one."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(m.name for m in modules if not m.name.startswith("_") and m.name not in _PLUMBING)


_PLUMBING = {"on_path", "dissect"}


def find(name: str) -> Attack:
    """The attack of this name. Raises LabError where there is none."""
    if name not in names():
        raise LabError(f"There is no attack {name}; these exist: {', '.join(names())}.")
    importlib.import_module(f"attacks.{name}")
    return _catalogue[name]


@cache
def catalogue() -> list[Attack]:
    """Every attack, in the order in which a learner meets them."""
    order = ("sniffer", "impersonation", "member_forges", "spoofed_whisper", "mitm", "replay", "merged_messages")
    rank = {name: i for i, name in enumerate(order)}
    return sorted((find(name) for name in names()), key=lambda a: (rank.get(a.name, len(rank)), a.name))
