"""The attacks: one script a family, one shape for all.

An attack has a name (its module's), a position, goals, a docstring that tells its story, and one coroutine that gets
a `Foothold` and returns a `Claim`. It never prints and never judges: whether a goal was reached is the referee's word
(`lab.referee`), from canaries that the attack is never shown and from the victims' screens.

    @attack(position="outsider", goals=(Goal("room", "speak as Alice", wins="forged-room", expected="BHHHH"),))
    async def impersonation(foothold: Foothold, goal: Goal) -> Claim:
        '''Alice has gone home. ...'''

An attack meets a stage only through what its position may touch: a host of its own, the server's address, and what
the scene makes public. It waits for a moment of the scene with `foothold.until("alice-left")`; the scene goes on
while it waits, and stands still while it works.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from common.errors import LabError

if TYPE_CHECKING:
    from common.client import Client
    from common.hosts import Host
    from common.messages import Message
    from common.session import Address, ServerEffect, Show
    from stages import Stage

TRIALS: Final = 20
"""How often a goal that has a `trial` is tried; it is reached when 18 are guessed right, which blind guessing does
once in 5,000 times."""

CPU_SECONDS: Final = 1.0
"""What guessing passwords may cost, in seconds of a processor."""

Position = Literal["tap", "on-path", "outsider", "insider", "departed", "server", "thief"]

WAYS: Final = ("arp_spoofing", "dns_spoofing", "gateway")
"""The ways onto the path, each an attack of its own; on the LAN whoever attacks from the path goes one of them."""

FAMILIES: Final = ("dos",)
"""Attacks that are run on demand, beside the matrix of all: denial of service."""

Moment = Literal["talking", "departed", "bob-restarted", "alice-left", "over"]
"""When an attack can ask to be woken: all three are there and have talked; Carol's account was removed (position
`departed` only; Alice then says and whispers something new); Bob has stopped his client and started it again (where the
goal `restarts`); Alice has left; everybody has left."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing an attack may be after.

    wins: the referee's rule (a key of `lab.referee.RULES`) that says whether it was reached.
    expected: a letter for each stage from 1 on, B broken, H held, - not applicable; a test compares every run.
    ablation: by stage, the smallest set of levers under which a held goal is reached: what the defence is, shown by
        its absence. Of two, each alone leaves it held. One text where it is the same set at all stages.
    remedy: by stage, the levers under which a broken goal is held, where there are such.
    absent: why the goal does not apply where `expected` has a dash.
    what_ifs: by stage, what comes of other levers: for each set of them, written as always, B or H; where there are
        cases, a letter for each of them in their order. Here a goal applies that does not by default.
    trial: what the scene does in each of the goal's trials (a key of `lab.scene.TRIALS`).
    cases: where a goal is tried in several ways, each a cell of its own: the way, and the levers under which it works.
    by_processor_time: the verdict depends on what the attack's work took of a processor, so nothing may run beside it.
    restarts: Bob stops his client and starts it again, after the three have talked.
    lan_only: why the goal does not apply on the loopback network, where it does not. Such a goal is a matter of the
        network, the same at every stage, so no audit of a stage has a finding about it.
    """

    name: str
    about: str
    wins: str
    expected: str
    ablation: Mapping[int, str] | str = field(default="", hash=False)
    absent: str = ""
    trial: str = ""
    remedy: Mapping[int, str] | str = field(default="", hash=False)
    cases: Mapping[str, str] = field(default_factory=dict, hash=False)
    by_processor_time: bool = False
    restarts: bool = False
    what_ifs: Mapping[int, Mapping[str, str]] = field(default_factory=dict, hash=False)
    lan_only: str = ""

    def expected_at(self, stage: int) -> str:
        """`broken`, `held` or `not-applicable` at this stage with its default levers. Raises LabError."""
        if stage > len(self.expected):
            raise LabError(f"What is expected of the goal {self.name} at stage {stage} is not written down: add it.")
        return _LETTERS[self.expected[stage - 1]]

    def ablation_at(self, stage: int, case: str = "") -> str:
        """The levers under which the goal, held at this stage, is reached; empty where none are named."""
        if case:
            return self.cases[case]
        return self.ablation if isinstance(self.ablation, str) else self.ablation.get(stage, "")

    def remedy_at(self, stage: int) -> str:
        """The levers under which the goal, broken at this stage, is held; empty where there are none."""
        return self.remedy if isinstance(self.remedy, str) else self.remedy.get(stage, "")

    def what_ifs_at(self, stage: int, case: str = "") -> dict[str, str]:
        """For each set of other levers, `broken` or `held`."""
        at = list(self.cases).index(case) if case else 0
        return {levers: _LETTERS[letters[at]] for levers, letters in self.what_ifs.get(stage, {}).items()}

    def expected_under(self, stage: int, turned: Mapping[str, str], case: str = "") -> str:
        """What is expected under these turned levers; empty where nothing of them is written down."""
        named = self.what_ifs_at(stage, case)
        if self.expected_at(stage) == "held":
            named[self.ablation_at(stage, case)] = "broken"
        elif self.expected_at(stage) == "broken":
            named[self.remedy_at(stage)] = "held"
        settings = {f"{name}={setting}" for name, setting in turned.items()}
        return next((verdict for words, verdict in named.items() if set(words.split()) == settings), "")

    def applies(self, stage: int, levers: Mapping[str, str]) -> bool:
        """Can it be reached or held at this stage, under these levers? Raises LabError."""
        settings = {f"{name}={setting}" for name, setting in levers.items()}
        turned = any(settings.issuperset(words.split()) for words in self.what_ifs.get(stage, {}))
        return turned or self.expected_at(stage) != "not-applicable"


_LETTERS: Final = {"B": "broken", "H": "held", "-": "not-applicable"}


@dataclass(slots=True)
class Claim:
    """What an attack believes it got or did. Only the referee decides what that is worth."""

    read: list[str] = field(default_factory=list)
    """Texts it thinks it has read."""
    guesses: list[int] = field(default_factory=list)
    """What it thinks each trial was, in order."""
    did: str = ""
    """One sentence: what it did."""


@dataclass(frozen=True, slots=True)
class Loot:
    """What a thief stole, as it was at that moment."""

    folder: Path
    """The server's folder, copied."""
    relayed: list[bytes]
    """A line for everything that the server passed on, in order."""
    keys: dict[str, bytes]
    """Every 32 bytes in the memory of one member's client that may be a key, by where they lay."""


class Taken(Protocol):
    """A server that the attacker has taken: it sees what the sessions see, and does what it likes."""

    hook: Callable[[Any, Message, list[ServerEffect]], list[ServerEffect]]
    """Gets a session, the message it received and what it would do; returns what is done instead.

    It must neither wait nor call `perform`: what is to be done at once, it returns.
    """

    server: Any
    """The stage's own `Server`: its room, its accounts."""

    def perform(self, session: Any, effects: list[ServerEffect]) -> None:
        """Do something of one's own, when nobody has said anything."""

    async def until(self, condition: Callable[[], bool], seconds: float = 1.0) -> bool:
        """Wait until what the hook has seen meets a condition; False when the time is over."""


class Foothold(Protocol):
    """What a position may touch."""

    stage: Stage
    host: Host
    server: Address
    """Name and TCP port of the server."""

    async def enter(
        self, name: str, show: Callable[[Show], None], password: str = "", *, register: bool = False
    ) -> Client:
        """Connect the stage's own client under this name, from this host.

        An insider has its own password for its own name; for any other name it is the one given, or a guess.
        register: make an account; only for an attack that may try registrations.
        """

    async def until(self, moment: Moment) -> None:
        """Let the scene go on to this moment; it stands still from then until the next call or the end."""

    async def trial(self) -> str:
        """Let the scene do once what the goal's `trial` names, one way or the other, by a coin that is not shown.

        Returns the question, where the trial asks one: for example the name that it is about.
        """

    @property
    def taken(self) -> Taken:
        """The server, for the position that has taken it."""

    @property
    def certificate(self) -> Path:
        """A file with the key and the certificates that the goal's case hands out, for whoever plays the server."""

    @property
    def loot(self) -> Loot:
        """What can be stolen at this moment, for the position that steals."""

    @property
    def via(self) -> str:
        """The way onto the path that was asked for (one of WAYS), or nothing: the attack's own."""

    @property
    def slow(self) -> bool:
        """Does somebody want to follow every step? Then each is explained, and waits until it has been read."""

    def missed(self, why: str) -> None:
        """The position could not be taken, as far as the attacker can know, and why. The attack goes on without."""

    async def explain(self, text: str) -> None:
        """Where the run is slow: say this and give people time to read it."""

    def told(self, member: str) -> Address:
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
    taps: bool = False
    """Does it hear the whole network, beside what its position does?"""
    via: tuple[str, ...] = ()
    """The ways onto the path that it can be told to take."""
    family: str = ""
    """A family that is not in the matrix and the demo: `dos` (denial of service), which wants the machine for itself.
    """

    def goal(self, name: str) -> Goal:
        """The goal of this name. Raises LabError where there is none."""
        for goal in self.goals:
            if goal.name == name:
                return goal
        raise LabError(f"{self.name} has no goal {name}; it has: {', '.join(g.name for g in self.goals)}.")


_catalogue: dict[str, Attack] = {}


def attack(
    *,
    position: Position,
    goals: tuple[Goal, ...],
    taps: bool = False,
    via: tuple[str, ...] | None = None,
    family: str = "",
    catalogue: dict[str, Attack] = _catalogue,
) -> Callable[[Run], Run]:
    """Put an attack into the catalogue, under its function's name and with its docstring as its story.

    catalogue: another than that of the stages' attacks, for attacks on something else.
    taps: the attack also listens to the whole network, as the positions `tap` and `departed` do anyway.
    via: the ways onto the path that it can be told to take: all, where its position is `on-path` and none are named.
    family: one of FAMILIES, for an attack that is not in the matrix of all.
    """
    ways = via if via is not None else WAYS if position == "on-path" else ()

    def register(run: Run) -> Run:
        name = str(getattr(run, "__name__", ""))
        if run.__module__ == "__main__":  # `python -m attacks.sniffer`: the bench imports it again by its name
            return run
        if name in catalogue:
            raise ValueError(f"two attacks are called {name}")
        if not run.__doc__:
            raise ValueError(f"the attack {name} tells no story")
        hears = taps or position in ("tap", "departed")
        catalogue[name] = Attack(name, position, goals, run.__doc__, run, hears, ways, family)
        return run

    return register


def names() -> list[str]:
    """Every attack's name, without importing one."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(m.name for m in modules if not m.name.startswith("_") and m.name not in _PLUMBING)


_PLUMBING = {
    *("on_path", "position", "arp", "intercept", "tap", "listener", "packets", "pcap", "bpf", "dissect"),
    *("exchange", "boxes", "words", "taken", "floods", "hashes", "guesses", "cracking", "hashcat"),
    *("terminate", "static_rsa"),
}


def find(name: str) -> Attack:
    """The attack of this name. Raises LabError where there is none."""
    if name not in names():
        raise LabError(f"There is no attack {name}; these exist: {', '.join(names())}.")
    importlib.import_module(f"attacks.{name}")
    return _catalogue[name]


@cache
def catalogue(family: str = "") -> list[Attack]:
    """Every attack, in the order in which a learner meets them; those of a family apart. Raises LabError."""
    if family not in ("", *FAMILIES):
        raise LabError(f"There is no family {family}; there is {', '.join(FAMILIES)}.")
    order = (
        *("sniffer", "repeated_text", "message_length", "who_talks"),
        *("impersonation", "stolen_password", "member_forges", "spoofed_whisper", "member_reads_whisper", "departed"),
        *WAYS,
        *("mitm", "tamper", "replay", "forced_reconnection", "merged_messages", "escape_forgery"),
        *("enumerate_users", "crack_passwords", "passphrase_guessing", "stolen_member_key"),
        *("silent_connections", "slow_logins", "stopped_reader", "giant_lines", "message_flood"),
    )
    rank = {name: i for i, name in enumerate(order)}
    every = (find(name) for name in names())
    return sorted((one for one in every if one.family == family), key=lambda a: (rank.get(a.name, len(rank)), a.name))
