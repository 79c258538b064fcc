"""The scene of an exercise: the server, Alice and Bob are the learner's programs; Carol, and every attacker, runs the
reference. So each scene also shows that the learner's code speaks the protocol, and not only with itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from attacks import Attack, Claim, Goal, Loot
from common.errors import LabError
from common.hosts import DOMAIN, Host
from common.session import Person, Server, ServerEffect, Show
from lab.exercise import lines
from lab.exercise.nursery import Nursery
from lab.exercise.program import Hosts, Program, Trouble
from lab.hosting import Running, Seat, start_client
from lab.scene import Member, Scene, Spoken
from lab.screens import ROWS, Screen

LEARNERS: Final = ("alice", "bob")
START_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 3.0
SCENE_SECONDS: Final = 60.0
"""A scene takes a second, or a few where it waits for what does not come."""
KINDS: Final = ("room", "direct", "whisper", "notice", "alarm")

_numbers = count(1)


async def serving(program: Program, port: int) -> None:
    """Let a program be the server, which writes to `server` in its home, and wait until it listens. Raises Trouble."""
    started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    program.heard = lambda line: None if started.done() else started.set_result(line)
    program.tell(lines.Serve(program.place("server"), port))
    await asyncio.wait([started, program.trouble], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    program.check()
    if not started.done() or not isinstance(started.result(), lines.Started):
        raise Trouble(f"Your server did not start to listen within {START_SECONDS:g} s.")


class DistantSeat:
    """A client of the learner's that runs in the child: what is typed goes there, what it shows comes back."""

    def __init__(self, program: Program, screen: Screen) -> None:
        self.ended = asyncio.Event()
        self.screen = screen
        self.program = program
        self.started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """Why it did not go on; empty where it is connected."""
        program.heard = self._heard

    @property
    def session(self) -> Any:
        """What is known of it: its UDP port."""
        return self.program.hosts

    @property
    def transport(self) -> Any:
        """Its connection."""
        return self

    def is_closing(self) -> bool:
        """Has it ended?"""
        return self.ended.is_set()

    def typed(self, line: str) -> None:
        """The person typed a line."""
        self.program.tell(lines.Typed(line))

    def close(self) -> None:
        """Leave; whoever does not is made to."""
        if not self.ended.is_set():
            self.program.tell(lines.Leave())
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.ended.set)

    def _heard(self, line: Any) -> None:
        match line:
            case lines.Shown(kind=kind, text=text, sender=sender) if kind in KINDS:
                try:
                    self.screen.show(Show(kind, text, sender))
                except RuntimeError:
                    self.program.in_trouble(
                        Trouble(f"{self.program.what} showed more than a screen of {ROWS} rows holds, and was stopped.")
                    )
            case lines.Started() | lines.Refused() if not self.started.done():
                self.started.set_result(line.why if isinstance(line, lines.Refused) else "")
            case lines.Ended():
                self.ended.set()
            case _:
                self.program.in_trouble(Trouble(f"{self.program.what} said something that no client says."))


class Absent:
    """In place of the server's own object, which is in the child: nothing of it can be observed here."""

    def session(self, address: str) -> Any:
        """Nobody asks."""
        raise LabError("This server runs elsewhere.")

    def remove(self, name: str) -> list[ServerEffect]:
        """Nobody asks."""
        raise LabError("This server runs elsewhere.")


@dataclass
class ExerciseScene(Scene):
    """See `lab.scene.Scene`."""

    nursery: Nursery = field(kw_only=True)
    place: str = field(default_factory=lambda: f"scene-{next(_numbers)}")
    """What the names of its programs' homes begin with."""
    honest: bool = False
    of_the_bench: bool = False
    """Is the server the reference's, because the attacker has taken it?"""
    programs: list[Program] = field(default_factory=list)
    seats: list[DistantSeat] = field(default_factory=list)
    server_program: Program | None = None

    async def play(self, attack: Attack | None = None, goal: Goal | None = None) -> Claim:
        """See `lab.scene.Scene`. Raises Trouble, as soon as one of the learner's programs is in it."""
        self.honest = attack is None
        self._trouble: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        playing = asyncio.create_task(super().play(attack, goal))
        try:
            done, _ = await asyncio.wait(
                {playing, self._trouble}, timeout=SCENE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if self._trouble.done():
                raise self._trouble.result()
            if not done:
                raise Trouble(f"The conversation did not come to an end within {SCENE_SECONDS:g} s.")
            return playing.result()
        finally:
            for seat in self.seats:
                seat.ended.set()
            while not playing.done():  # it waits for every client to end, and is told again not to
                playing.cancel()
                await asyncio.wait([playing], timeout=1)
            if not playing.cancelled():
                playing.exception()
            for program in self.programs:
                program.close()
            self.nursery.clear(f"{self.place}-")

    def _program(self, what: str, host: Host, name: str) -> Program:
        hosts = Hosts(host, self.network.zone, self.stage.port, serves=name == "server")
        program = self.nursery.program(what, hosts, f"{self.place}-{name}")
        program.trouble.add_done_callback(self._in_trouble)
        self.programs.append(program)
        return program

    def _in_trouble(self, first: "asyncio.Future[Trouble]") -> None:
        if not self._trouble.done():
            self._trouble.set_result(first.result())

    def _server(self, attack: Attack | None) -> Any:
        self.of_the_bench = attack is not None and attack.position == "server"
        return super()._server(attack) if self.of_the_bench else Absent()

    def hosted(self, server_side: Server) -> contextlib.AbstractAsyncContextManager[Running]:
        """See `lab.scene.Scene`."""
        at = self.network.hosts["server"]
        return super().hosted(server_side) if self.of_the_bench else self._learners_server(at)

    @contextlib.asynccontextmanager
    async def _learners_server(self, at: Host) -> AsyncIterator[Running]:
        self.server_program = program = self._program("Your server", at, "server")
        await serving(program, self.stage.port)
        if self.stage.wants_authority and "ca.pem" not in program.taken("ca"):
            raise Trouble(
                "Your server made no ca.pem in ca/, beside its own folder: nobody can verify it. Is there a server_tls "
                "in compose.py, and does it return a context?"
            )
        self._take_over(
            program, "ca", "ca"
        )  # what an operator gives to the members, and what the bench makes certificates with
        try:
            yield Running((f"{at.name}.{DOMAIN}", self.stage.port), lambda session, effects: None)
        finally:
            program.close()

    def _take_over(self, program: Program, place: str, to: str) -> None:
        """Copy what a program of the learner's wrote to where the reference reads it."""
        for name, data in program.taken(place).items():
            (self.folder / to).mkdir(parents=True, exist_ok=True)
            (self.folder / to / name).write_bytes(data)
            (self.folder / to / name).chmod(0o600)

    async def _start(self, host: Host, person: Person, screen: Screen) -> Seat:
        if person.name not in LEARNERS:
            show = partial(self._show_on, screen)
            return await start_client(self.stage, self.levers, host, self.address, person, show, self.log_secrets)
        seat = DistantSeat(self._program(f"Your client ({person.name})", host, person.name), screen)
        self.seats.append(seat)
        authority = self.folder / "ca" / "ca.pem"
        ca = authority.read_text(errors="replace") if authority.exists() else ""  # given out of band
        order = lines.Join(
            seat.program.place(person.name), host.name, self.address, person.name, person.password, person.register, ca
        )
        seat.program.tell(order)
        await asyncio.wait(
            [seat.started, seat.program.trouble], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        seat.program.check()
        if not seat.started.done():
            raise Trouble(f"Your client ({person.name}) was not connected within {START_SECONDS:g} s.")
        if why := str(seat.started.result()):
            raise LabError(why)
        return seat

    def _show_on(self, screen: Screen, show: Show) -> None:
        """On the screen of a client of the reference's; what overflows it, the learner's server has sent."""
        try:
            screen.show(show)
        except RuntimeError:
            if not self._trouble.done():
                self._trouble.set_result(Trouble(f"Your server filled {screen.name}'s screen of {ROWS} rows."))

    def _operate(self, name: str) -> None:
        if self.server_program is None:
            super()._operate(name)
        else:
            self.server_program.tell(lines.Remove(name))

    def loot(self) -> Loot:
        """See `lab.scene.Scene`: the folder of the learner's server; nothing that it relayed, and nobody's memory."""
        if self.server_program:
            self._take_over(self.server_program, "server", "mallory/loot")
        return Loot(self.folder / "mallory" / "loot", [], {})

    # With nobody attacking, the first thing that does not arrive is what the learner is told.

    async def _why(self, sentence: str) -> Trouble:
        """This, and first of all which of the learner's programs does not answer any more."""
        hanging = [program.what for program in self.programs if program.open and await program.hangs()]
        return Trouble(f"{hanging[0]} hangs. {sentence}" if hanging else sentence)

    async def _join(self, name: str) -> None:
        await super()._join(name)
        if not self.honest:
            return
        whose = f"{name} (whose client is the reference's)" if name not in LEARNERS else name
        if name not in self.members:
            raise await self._why(f"{whose} could not come in: {_last(self.screens[name])}")
        if not any(show.text.startswith("here: ") for show in self.screens[name].shown):
            raise await self._why(
                f"{whose} joined, and within {self.patience:g} s was not shown who is there; "
                f"the screen shows {_last(self.screens[name])}"
            )
        for other in self.members.values():
            if other.name != name and not any(show.text.startswith(f"{name} joined") for show in other.screen.shown):
                raise await self._why(
                    f"Your server did not tell {other.name} within {self.patience:g} s that {name} joined."
                )

    async def _heard(self, spoken: Spoken, listeners: list[Member]) -> None:
        before = {member.name: len(member.screen.shown) for member in listeners}
        await super()._heard(spoken, listeners)
        if not self.honest:
            return
        for member in listeners:
            new = member.screen.shown[before[member.name] :]
            if not any((show.sender, show.kind) == (spoken.who, spoken.kind) for show in new):
                did = f"whispered to {spoken.to}" if spoken.to else "said"
                seen = f"{member.name}'s screen shows {_last(member.screen, before[member.name])}"
                raise await self._why(f"{spoken.who} {did}: “{spoken.text}”, and after {self.patience:g} s {seen}")
            if not any(show.text == spoken.text for show in new):
                seen = next(show.text for show in new if (show.sender, show.kind) == (spoken.who, spoken.kind))
                raise await self._why(
                    f"{spoken.who} said “{spoken.text}”, and {member.name}'s screen shows “{seen[:100]}”."
                )


def _last(screen: Screen, since: int = 0) -> str:
    """The last thing on a screen, that may say why nothing else is there."""
    shown = screen.shown[since:]
    alarms = [show for show in shown if show.kind == "alarm"]
    last = (alarms or shown)[-1:]
    return f"“{last[0].text[:200]}”." if last else "nothing new."
