"""Probes: what is asked of the learner's code directly, one question each. What is right is computed here, by the
reference, from values that are drawn anew each time; the child is only asked what its functions return.

A probe returns what it observed that is wrong, in a sentence, or nothing. It may raise `Trouble`.
"""

import importlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.bench import Bench
from lab.exercise.nursery import Nursery, Program, Trouble
from lab.scene import Scene
from stages import Stage

FILES: Final = {
    1: "client.py",
    2: "accounts.py",
    3: "room_key.py",
    4: "tls.py",
    5: "box.py, pins.py or counters.py",
}


class Asking:
    """What a probe has: the learner's functions, and a network."""

    def __init__(self, stage: Stage, nursery: Nursery, bench: Bench, control: Scene | None) -> None:
        self.stage = stage
        self.nursery = nursery
        self.bench = bench
        self.control = control
        """The scene in which nobody attacked, where it went well."""
        self._program: Program | None = None

    async def call(self, name: str, *arguments: Any) -> Any:
        """What a function of `lab.exercise.calls` returns. Raises Trouble, also where it raises what is foreseen."""
        returned = await self.returned(name, *arguments)
        if returned.raised:
            raise Trouble(f"Your code raised {returned.raised}, where it should have gone on ({name}).")
        return returned.value

    async def refused(self, name: str, *arguments: Any) -> bool:
        """Does it raise NotOpened?"""
        returned = await self.returned(name, *arguments)
        return bool(returned.raised == "NotOpened")

    async def returned(self, name: str, *arguments: Any) -> Any:
        """What it returns, or raises of what is foreseen."""
        if self._program is None:
            self._program = self.nursery.program(f"Your {FILES[self.stage.number]}")
        return await self._program.call(name, *arguments)

    def close(self) -> None:
        """End what was started."""
        if self._program:
            self._program.close()


Run = Callable[[Asking], Coroutine[Any, Any, str]]


@dataclass(frozen=True)
class Probe:
    """One question. `needs_scene`: it is about the conversation in which nobody attacked."""

    run: Run
    needs_scene: bool = False


_PROBES: Final[dict[str, dict[str, Probe]]] = {}


def probe(run: Run) -> Run:
    """Register a probe under its function's name, for the stage whose module it stands in."""
    _PROBES.setdefault(run.__module__, {})[run.__name__] = Probe(run)
    return run


def scene_probe(run: Run) -> Run:
    """The same, for one that needs the scene."""
    _PROBES.setdefault(run.__module__, {})[run.__name__] = Probe(run, needs_scene=True)
    return run


def probes_of(stage: Stage) -> dict[str, Probe]:
    """The probes of a stage's exercise, by name."""
    module = f"lab.exercise.probes{stage.number}"
    importlib.import_module(module)
    return _PROBES[module]


def environment(stage: Stage, folder: Path) -> dict[str, str]:
    """What the child's environment says beside the usual: at some stages, what this machine trusts."""
    module = importlib.import_module(f"lab.exercise.probes{stage.number}")
    made: dict[str, str] = module.environment(folder) if hasattr(module, "environment") else {}
    return made
