"""Levers: security decisions with a name and named settings. `LEVERS="framing=none runtime=threads"`.

Turning one is how a learner asks "what if?". The default of each is the stage's own right way; the others live
in small files of their own and are swapped in where a session or a runtime is put together, so that no stage
has an `if lever` in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from common.errors import LabError


@dataclass(frozen=True, slots=True)
class Lever:
    """One decision. The first setting is the default."""

    name: str
    settings: tuple[str, ...]
    meaning: str


COMMON: Final = (
    Lever("runtime", ("asyncio", "threads"), "one event loop, or a thread for each client"),
    Lever("framing", ("lines", "none"), "a message ends at a newline, or with whatever arrived together"),
    Lever("display", ("sanitised", "raw"), "what could move or hide on a terminal is taken out before it is shown"),
    Lever("limits", ("on", "off"), "is there a bound to what one peer may take of the server?"),
)
"""The levers that every stage has."""

LAN: Final = (
    Lever("lan", ("by-position", "hub", "switch"), "who hears a frame: all, or whom it is for; a listener gets a hub"),
    Lever("arp", ("dynamic", "static"), "does a host believe what it is told of others' network cards?"),
    Lever(
        "arp_inspection",
        ("off", "on"),
        "does the switch drop ARP that names another sender than the one it comes from?",
    ),
    Lever("dns", ("plain", "pinned-answer"), "does a host ask for the server's address, or know it beforehand?"),
)
"""The levers of the network that the bench builds; a stage run by hand is on a network that it did not build."""


class Levers(Mapping[str, str]):
    """Every lever's setting; those not named have their default."""

    def __init__(self, turned: Mapping[str, str] | None = None, known: tuple[Lever, ...] = COMMON) -> None:
        self.known = {lever.name: lever for lever in known}
        for name, setting in (turned or {}).items():
            if name not in self.known:
                raise LabError(f"There is no lever {name} here; these exist: {', '.join(self.known)}.")
            if setting not in self.known[name].settings:
                choice = ", ".join(self.known[name].settings)
                raise LabError(f"The lever {name} has no setting {setting}; it has: {choice}.")
        self._settings = {lever.name: (turned or {}).get(lever.name, lever.settings[0]) for lever in known}

    @classmethod
    def parse(cls, words: str, known: tuple[Lever, ...] = COMMON) -> "Levers":
        """Read `name=setting name=setting`. Raises LabError for anything else."""
        pairs = [word.partition("=") for word in words.split()]
        for name, equals, setting in pairs:
            if not equals:
                raise LabError(f"Levers are written name=setting; {name}{setting} is not.")
        return cls({name: setting for name, _, setting in pairs}, known)

    def turned(self) -> dict[str, str]:
        """Those that differ from their default."""
        return {n: s for n, s in self._settings.items() if s != self.known[n].settings[0]}

    def __getitem__(self, name: str) -> str:
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)
