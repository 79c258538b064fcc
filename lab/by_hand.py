"""Attacks outside the bench: on a stage that somebody runs by hand.

There is no referee here, because there is nobody whose screen the bench could read: look at Bob's yourself.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import attacks
from attacks import Loot, Moment, Taken
from common.client import Client
from common.command_line import server_address
from common.errors import LabError
from common.hosts import Confined, Host, only_lab_or_loopback
from common.levers import Levers
from common.session import Address, Person, Show
from lab import progress
from lab.hosting import start_client
from lab.report import Report, story
from lab.verbs import Options
from stages import Stage

AIMED_AT_BOB = ("spoofed_whisper", "datagram_flood")
"""Attacks whose TARGET= is no server: datagrams go straight to Bob's client."""


class Target:
    """The foothold of an attack on something run by hand: what the person knows and names."""

    def __init__(self, stage: Stage, target: Address, folder: Path, seconds: float, report: Report) -> None:
        self.stage = stage
        self.server = target
        self.host: Host = Confined()
        self._folder = folder
        self._seconds = seconds
        self._report = report

    async def enter(
        self, name: str, show: Callable[[Show], None], password: str = "", *, register: bool = False
    ) -> Client:
        """By hand nobody has an account yet: it is made, with a password that nobody needs to know."""
        guess = password or secrets.token_urlsafe(12)
        person = Person(name, 0, guess, register=register or not password, folder=self._folder)
        return await start_client(self.stage, Levers(known=self.stage.levers), self.host, self.server, person, show)

    async def until(self, moment: Moment) -> None:
        """The person decides when: now. For the end, until Ctrl-C or the duration."""
        if moment == "over":
            self._report.line("Ctrl-C ends." if not self._seconds else f"Ends after {self._seconds:g} s.")
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=self._seconds or None)

    async def trial(self) -> str:
        """By hand there is no scene that could make trials."""
        raise LabError("Only the bench makes trials; run the attack without TARGET=.")

    @property
    def taken(self) -> Taken:
        """By hand the server is somebody else's program."""
        raise LabError("Only the bench hands a server over; run the attack without TARGET=.")

    @property
    def certificate(self) -> Path:
        """By hand nobody hands out certificates."""
        raise LabError("Only the bench hands out certificates; run the attack without TARGET=.")

    @property
    def loot(self) -> Loot:
        """By hand nothing was stolen."""
        raise LabError("Only the bench hands out loot; run the attack without TARGET=.")

    def told(self, member: str) -> Address:
        """The member's address is the target that was named."""
        return self.server

    def name_of(self, address: str) -> str:
        """By hand, addresses have no names."""
        return address

    @property
    def via(self) -> str:
        """By hand the clients are pointed at the attacker."""
        return ""

    @property
    def slow(self) -> bool:
        """By hand the person is as slow as they like."""
        return False

    def missed(self, why: str) -> None:
        """See `attacks.Foothold`."""
        self._report.line(why)

    async def explain(self, text: str) -> None:
        """By hand nothing is explained."""

    def note(self, text: str) -> None:
        """See `attacks.Foothold`."""
        self._report.line(text)


async def against(stage: Stage, name: str, target: str, options: Options) -> int:
    """Run an attack against HOST:PORT. Raises LabError where that is outside the lab and loopback."""
    address = server_address(target, stage.port)
    only_lab_or_loopback(address[0])
    if name in AIMED_AT_BOB and ":" not in target:
        raise LabError("A whisper goes to Bob's client: TARGET=127.0.0.1:PORT, with the UDP port that the roster says.")
    given = {"--json": options.json, "--write": options.write, "--levers": options.levers, "--count": options.count > 1}
    given |= {"--per-host": options.per_host, "--via": options.via, "--slow": options.slow}
    unheeded = ", ".join(name for name, is_given in given.items() if is_given)
    if unheeded:
        raise LabError(f"With TARGET= there is no bench, so {unheeded} cannot be heeded; leave it out.")
    report = Report(verbose=True)
    chosen = attacks.find(name)
    goal = chosen.goal(options.goal) if options.goal else chosen.goals[0]
    report.paragraph(story(chosen))
    if chosen.position == "on-path":
        report.line(
            "By hand there is no LAN and no ARP: whoever starts a client with Mallory's address gives her the path."
        )
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        claim = await chosen.run(Target(stage, address, Path(folder), options.duration, report), goal)
    progress.note(stage.number, attack=name)
    report.line("It " + claim.did.rstrip(".") + ".")
    report.line("There is no referee outside the bench: look at the screens of those who were attacked.")
    return 0
