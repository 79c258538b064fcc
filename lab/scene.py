"""The scene: the scripted conversation that every attack is run against, and that is run first with nobody attacking.

Alice, Bob and Carol join, talk, whisper, leave. Every step waits until the others' screens show it, so a scene is as
fast as its messages; where an attack holds something back, patience ends the wait and the scene goes on.
"""

import asyncio
import contextlib
import secrets
import shutil
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from attacks import Attack, Claim, Goal, Loot, Moment
from common.client import Client
from common.command_line import rows_for
from common.errors import LabError
from common.hosts import Host
from common.levers import Levers
from common.messages import Message
from common.session import Address, Person, Server, ServerEffect, Show, alarm
from lab import weak_password
from lab.certificates import handed_out
from lab.drawn import Drawn
from lab.hosting import Running, Seat, running_server, start_client
from lab.loot import RecordedServer, keys_in
from lab.network import Network
from lab.observed import ObservedServer
from lab.screens import Screen
from lab.surroundings import Path as PathOfTraffic
from stages import Stage

PATIENCE: Final = 1.0
"""Seconds that a step waits for the others' screens before the scene goes on without."""

VISIT_PATIENCE: Final = 10.0
"""Seconds that somebody who makes an account is waited for: it must come about, so only a busy machine waits."""

WITHHELD: Final = 0.2
"""How much of its patience a scene has where the server is the attacker: what it does not pass on at once, it keeps.
And where something has not arrived already: whoever keeps it back will do so again."""

ATTACK_SECONDS: Final = 20.0
"""The longest that an attack may keep the scene standing."""

SECONDS_A_LETTER: Final = 0.04
"""How long whoever follows slowly is given to read, for every letter."""
SLOW_ATTACK_SECONDS: Final = 600.0

MEMBERS: Final = ("alice", "bob", "carol")

CANARIES: Final = ("room", "whisper", "password", "later-room", "later-whisper", "weak-password")

Watch = Callable[[str, str], None]
Moments = Callable[[Moment], Awaitable[None]]
"""Says that the scene has come to a moment, and waits until an attack that waited for it is done."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Something a member really typed."""

    who: str
    kind: str
    to: str
    text: str


@dataclass
class Member:
    """One person: their host, their client, their screen."""

    name: str
    client: Seat
    screen: Screen

    def type(self, line: str) -> None:
        """Type a line and press enter."""
        self.screen.typed(line)
        self.client.typed(line)


@dataclass
class Scene:
    """One run of the conversation, and all that the referee needs to know of it."""

    stage: Stage
    levers: Levers
    network: Network
    watch: Watch
    patience: float = PATIENCE
    case: str = ""
    """In which way the goal is tried, where there are several."""
    drawn: Drawn = field(default_factory=Drawn)
    """Where its canaries, passwords and ports come from."""
    members: dict[str, Member] = field(default_factory=dict)
    screens: dict[str, Screen] = field(default_factory=dict)
    spoken: list[Spoken] = field(default_factory=list)
    canaries: dict[str, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    server: Any = None
    perform: Callable[[Any, list[ServerEffect]], Any] = field(default=lambda session, effects: None)
    taken: "TakenServer | None" = None
    coins: list[int] = field(default_factory=list)
    """How the trials fell."""
    cpu_seconds: float = 0.0
    """What the attack's own work took of a processor, while the scene stood still."""
    recorded: RecordedServer | None = None
    address: Address = ("", 0)
    visitors: list[Client] = field(default_factory=list)
    """The clients that the attack started."""
    unheard: list[Spoken] = field(default_factory=list)
    """What was said and did not come up where it should within the patience."""
    kept_out: str = ""
    """Why somebody new did not come in, where one tried."""
    slowest: float = 0.0
    """The longest, in seconds, that anything that was said took to come up."""
    log_secrets: Callable[[ssl.SSLContext], None] | None = None
    """Gets what members speak TLS with. What comes of it only the bench can take."""
    via: str = ""
    """The way onto the path that the attack was told to take."""
    slow: bool = False
    missed: list[str] = field(default_factory=list)
    """Why the attack, as far as it knows, did not get on the path."""
    path: PathOfTraffic | None = None
    """What way Alice's traffic takes, where the goal is about that."""

    async def play(self, attack: Attack | None = None, goal: Goal | None = None) -> Claim:
        """Run the conversation, with an attack where one is given, and return what it claims."""
        draw = self.drawn
        self.canaries = {kind: draw.canary(kind) for kind in CANARIES}
        told = weak_password.draw() if self.stage.wants_passphrase(self.levers) else ""  # as people choose one
        self.people = {
            n: Person(n, draw.udp_port(n), draw.password(n), register=True, passphrase=told) for n in MEMBERS
        }
        self.people["alice"] = replace(self.people["alice"], password=self.canaries["password"])
        with tempfile.TemporaryDirectory(prefix="scene-", dir=self.network.folder) as folder:
            for name in ("server", "mallory", *MEMBERS):
                (Path(folder) / name).mkdir()
                if name in self.people:
                    self.people[name] = replace(self.people[name], folder=Path(folder) / name)
            self.folder = Path(folder)
            self.server = self._server(attack)
            if attack and attack.position == "server":
                self.taken = TakenServer(self.server)
            if attack and attack.position == "thief":
                self.recorded = RecordedServer(self.server)
                self.canaries["weak-password"] = weak_password.draw()
                self.people["bob"] = replace(self.people["bob"], password=self.canaries["weak-password"])
            return await self._play(attack, goal, self.taken or self.recorded or self.server)

    async def _play(self, attack: Attack | None, goal: Goal | None, server_side: Server) -> Claim:
        async with self.hosted(server_side) as running:
            self.address, self.perform = running.address, running.perform
            if self.taken:
                self.taken.perform = running.perform
            foothold = SceneFoothold(self, attack, goal, self.address) if attack and goal else None
            task = asyncio.create_task(attack.run(foothold, goal)) if attack and foothold and goal else None

            async def moment(name: Moment) -> None:
                if foothold and task:
                    await foothold.reach(name, task)

            try:
                if foothold and task:
                    await foothold.settled(task)
                cast = [
                    name
                    for name in MEMBERS
                    if not (attack and attack.position in ("insider", "departed") and name == "carol")
                ]
                await self._script(cast, foothold, moment)
                if self.taken and self.taken.crashes:
                    raise self.taken.crashes[0]
                return await task if task else Claim()
            finally:
                if task and not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                for client in (*self.visitors, *(member.client for member in self.members.values())):
                    client.close()  # or it would connect again when the server stops
                    await client.ended.wait()

    # How programs are started; the scenes of an exercise and of the field start others.

    def _server(self, attack: Attack | None) -> Any:
        return self.stage.server(self.levers, self.folder / "server")

    def hosted(self, server_side: Server) -> contextlib.AbstractAsyncContextManager[Running]:
        """The server on its host, until the block ends."""
        at = self.network.hosts["server"]
        return running_server(self.stage, self.levers, at, server_side, self.folder / "server")

    async def _start(self, host: Host, person: Person, screen: Screen) -> Seat:
        """Raises LabError where the client refuses to go on."""
        return await start_client(self.stage, self.levers, host, self.address, person, screen.show, self.log_secrets)

    def _screen(self, name: str) -> Screen:
        return Screen(name, self.watch, rows_for(self.levers))

    def _operate(self, name: str) -> None:
        """The operator takes an account away."""
        self.perform(None, self.server.remove(name))

    def loot(self) -> Loot:
        """What a thief finds now; the member whose memory is read is Bob."""
        if self.recorded is None:
            raise LabError("Only the position thief has loot.")
        folder = shutil.copytree(self.folder / "server", self.folder / "mallory" / "loot", dirs_exist_ok=True)
        keys = keys_in(self.members["bob"].client.session) if "bob" in self.members else {}
        return Loot(folder, list(self.recorded.relayed), keys)

    async def _script(self, cast: list[str], foothold: "SceneFoothold | None", moment: Moments) -> None:
        if self.path:
            self.path.ready()
        for name in cast:
            await self._join(name)
        if self.levers.get("pinning") == "verified":
            await self._verify_each_other()
        await self.say("alice", f"Good morning! The door code is {self.canaries['room']}.")
        await self.say("bob", "Thanks, Alice. I will be there at nine.")
        await self.whisper("alice", "bob", f"Between us: the safe opens with {self.canaries['whisper']}.")
        if "carol" in cast:
            await self.say("carol", "Good morning from Carol.")
        if self.path:
            self.path.look()
        await moment("talking")
        if foothold and foothold.goal.restarts:
            await self.whisper("alice", "bob", "One thing more, between us.")  # behind whatever was sent to him before
            await self._restart("bob")
            await moment("bob-restarted")
            await self.whisper("alice", "bob", "Welcome back.")
        if foothold and foothold.position == "departed":
            await self._remove("carol")
            await moment("departed")
            await self.say("alice", f"Now that Carol has gone: {self.canaries['later-room']}.")
            await self.whisper("alice", "bob", f"And only for you: {self.canaries['later-whisper']}.")
        elif foothold and (foothold.position == "server" or foothold.goal.wins == "read-later-room"):
            if foothold.position == "server":  # what it told Alice by now, she has before this
                await self.say("bob", "Anything else, Alice?")
            await self.say("alice", f"One thing more: {self.canaries['later-room']}.")
        await self.say("alice", "I have to go now.")
        await self._leave("alice")
        await moment("alice-left")
        await self.say("bob", "So long!")
        await self._leave("bob")
        if "carol" in cast:
            await self._leave("carol")
        await moment("over")

    async def _join(self, name: str) -> None:
        screen = self.screens[name] = self._screen(name)
        host, person = self.network.hosts[name], self.people[name]
        try:
            client = await self._start(host, person, screen)
        except LabError as error:  # the client refuses to go on, as a person would see it; the others go on without
            screen.show(alarm(str(error)))
            return
        self.members[name] = Member(name, client, screen)
        await screen.until(lambda shown: any(s.text.startswith("here: ") for s in shown), self.patience)
        for other in self.members.values():
            if other.name != name:
                await other.screen.until(_shows("notice", f"{name} joined"), self.patience)

    async def _verify_each_other(self) -> None:
        """Every two compare the safety numbers that stand on their screens, as people do who meet, and say that they
        are the same only where they are."""
        for one, other in combinations(self.members.values(), 2):
            numbers = [await self._safety_number(*pair) for pair in ((one, other), (other, one))]
            if numbers[0] and numbers[0] == numbers[1]:
                one.type(f"/verify {other.name} same")
                other.type(f"/verify {one.name} same")

    async def _safety_number(self, member: Member, of: Member) -> str:
        """What a member's screen shows as the safety number with another; nothing where it shows none."""
        before = len(member.screen.shown)
        member.type(f"/verify {of.name}")
        shown = member.screen.shown[before:]
        return next((s.text for s in shown if s.text.replace(" ", "").isdigit()), "")

    async def _restart(self, name: str) -> None:
        """Somebody stops their client and starts it again: the same folder, the same terminal."""
        if name not in self.members:  # their client refused to connect
            return
        member = self.members[name]
        others = [other for other in self.members.values() if other is not member]
        before = {other.name: _times_shown(other.screen.shown, f"{name} joined") for other in others}
        member.type("/quit")
        await member.client.ended.wait()
        host, person = self.network.hosts[name], replace(self.people[name], register=False)
        there = len(member.screen.shown)
        member.client = await self._start(host, person, member.screen)
        await member.screen.until(lambda shown: any(s.text.startswith("here: ") for s in shown[there:]), self.patience)
        for other in others:
            await other.screen.until(_more_than(before[other.name], f"{name} joined"), self.patience)

    async def say(self, who: str, text: str) -> None:
        """Somebody speaks to the room, and the others' screens show it."""
        if who not in self.members:  # their client refused to connect: they say nothing
            return
        self.members[who].type(text)
        spoken = Spoken(who, "room", "", text)
        await self._heard(spoken, [m for m in self.members.values() if m.name != who])

    async def whisper(self, who: str, to: str, text: str) -> None:
        """Somebody whispers, and the other's screen shows it."""
        if who not in self.members:
            return
        self.members[who].type(f"/whisper {to} {text}")
        await self._heard(Spoken(who, "whisper", to, text), [m for m in self.members.values() if m.name == to])

    async def _heard(self, spoken: Spoken, listeners: list[Member]) -> None:
        """Wait until each listener's screen shows one more line of this kind from this person."""
        self.spoken.append(spoken)
        patience = self.patience * WITHHELD if self.taken or self.unheard else self.patience
        began = time.perf_counter()

        def lines(shown: list[Show]) -> int:
            return sum(1 for s in shown if (s.sender, s.kind) == (spoken.who, spoken.kind))

        def one_more(screen: Screen) -> Callable[[list[Show]], bool]:
            before = lines(screen.shown)
            return lambda shown: lines(shown) > before

        waits = [(member.screen, one_more(member.screen)) for member in listeners]
        if not all(await asyncio.gather(*(screen.until(arrived, patience) for screen, arrived in waits))):
            self.unheard.append(spoken)
        else:
            self.slowest = max(self.slowest, time.perf_counter() - began)

    async def visit(self, name: str) -> None:
        """Somebody makes an account, and goes again. Raises LabError where they could not."""
        if why := await self._first_visit(name, self.network.hosts["carol"], VISIT_PATIENCE):
            late = f"{name} could not make an account within {VISIT_PATIENCE:g} s ({why})"
            raise LabError(f"{late}; nothing can be judged.")

    async def _first_visit(self, name: str, host: Host, patience: float) -> str:
        """Somebody comes for the first time, and goes again. Returns why they did not get in; nothing if they did."""
        screen = Screen(name)
        (self.folder / name).mkdir()
        person = replace(
            self.people["alice"], name=name, udp_port=0, password=secrets.token_urlsafe(12), folder=self.folder / name
        )
        try:
            async with asyncio.timeout(patience):
                client = await self._start(host, person, screen)
        except (LabError, TimeoutError) as error:
            return str(error) or "nobody answered"
        there = await screen.until(_shows("notice", "here: "), patience)
        client.close()
        await client.ended.wait()
        return "" if there else "; ".join(screen.of("alarm")) or "nobody answered"

    async def _remove(self, name: str) -> None:
        """The operator removes an account, and with it the member's session."""
        self._operate(name)
        for other in self.members.values():
            await other.screen.until(_shows("notice", f"{name} left"), self.patience)

    async def _leave(self, name: str) -> None:
        member = self.members.pop(name, None)
        if member is None:
            return
        there = not member.client.transport.is_closing()  # if not, the others have been told already
        before = {other.name: _times_shown(other.screen.shown, f"{name} left") for other in self.members.values()}
        member.type("/quit")
        await member.client.ended.wait()
        for other in self.members.values() if there else ():
            await other.screen.until(_more_than(before[other.name], f"{name} left"), self.patience)


def _more_than(times: int, beginning: str) -> Callable[[list[Show]], bool]:
    return lambda shown: _times_shown(shown, beginning) > times


def _times_shown(shown: list[Show], beginning: str) -> int:
    return sum(s.text.startswith(beginning) for s in shown)


def _shows(kind: str, beginning: str) -> Callable[[list[Show]], bool]:
    return lambda shown: any(s.kind == kind and s.text.startswith(beginning) for s in shown)


async def _same_text(scene: "Scene", way: int) -> str:
    """Alice says two texts of equal length: different ones, or the same twice."""
    first, second = (f"ok, {secrets.token_hex(4)}" for _ in range(2))
    await scene.say("alice", first)
    await scene.say("alice", first if way else second)
    return ""


async def _yes_or_no(scene: "Scene", way: int) -> str:
    """Alice says one of two things of unequal length."""
    await scene.say("alice", ("yes", "no, never")[way])
    return ""


async def _to_whom(scene: "Scene", way: int) -> str:
    """Alice whispers to Bob, or to Carol."""
    await scene.whisper("alice", ("bob", "carol")[way], "come at nine")
    return ""


async def _an_account(scene: "Scene", way: int) -> str:
    """Somebody makes an account; asked is for another name, which has none, or for theirs."""
    fresh, known = (f"user-{secrets.token_hex(4)}" for _ in range(2))
    await scene.visit(known)
    return (fresh, known)[way]


TRIALS: Final = {
    "same-text": _same_text,
    "yes-or-no": _yes_or_no,
    "to-whom": _to_whom,
    "an-account": _an_account,
}
"""What can be tried again and again: each does one of two things, by a coin, and returns its question, if it has one.
"""


class TakenServer(ObservedServer):
    """See `attacks.Taken`. Under `runtime=threads` the hook runs in the sessions' threads, one at a time."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.crashes: list[Exception] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.hook: Callable[[Any, Message, list[ServerEffect]], list[ServerEffect]] = lambda session, message, e: e
        self.perform: Callable[[Any, list[ServerEffect]], None] = lambda session, effects: None

    def observe(self, session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        """What the hook makes of the effects."""
        try:
            return self.hook(session, message, effects)
        except Exception as error:
            self.crashes.append(error)
            raise
        finally:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """See `attacks.Taken`."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class SceneFoothold:
    """The attack's side of the scene. The two take turns: one stands still while the other works."""

    def __init__(self, scene: Scene, attack: Attack, goal: Goal, server: Address) -> None:
        insider = attack.position in ("insider", "departed")
        at = {"tap": "eve", "server": "server"}.get(attack.position, "carol" if insider else "mallory")
        self._scene = scene
        self.position = attack.position
        self.goal = goal
        self.host: Host = scene.network.hosts[at]
        self.stage = scene.stage
        self.server = server
        self.notes: list[str] = []
        self._waiting_for: Moment | None = None
        self._idle = asyncio.Event()
        self._go = asyncio.Event()

    async def until(self, moment: Moment) -> None:
        """See `attacks.Foothold`."""
        self._waiting_for = moment
        self._go.clear()
        self._idle.set()
        await self._go.wait()

    async def enter(
        self, name: str, show: Callable[[Show], None], password: str = "", *, register: bool = False
    ) -> Client:
        """See `attacks.Foothold`."""
        if register and self.goal.trial != "an-account":
            raise LabError("Only an attack on accounts may try registrations.")
        own = self.position in ("insider", "departed") and name == "carol"
        guess = password or secrets.token_urlsafe(12)
        folder = self._scene.folder / "mallory"
        # whoever is no member was not told the room's passphrase either, and has a guess
        stranger = Person(name, 0, guess, register=register, folder=folder, passphrase=secrets.token_urlsafe(12))
        person = self._scene.people[name] if own else stranger
        client = await start_client(self.stage, self._scene.levers, self.host, self.server, person, show)
        self._scene.visitors.append(client)
        return client

    async def trial(self) -> str:
        """See `attacks.Foothold`."""
        way = secrets.randbelow(2)
        self._scene.coins.append(way)
        return await TRIALS[self.goal.trial](self._scene, way)

    @property
    def taken(self) -> TakenServer:
        """See `attacks.Foothold`."""
        if self._scene.taken is None:
            raise LabError("Only the position server has the server.")
        return self._scene.taken

    @property
    def certificate(self) -> Path:
        """See `attacks.Foothold`."""
        if self.goal.wins != "taken-for-server":
            raise LabError("Only an attack on certificates is handed one.")
        file = self._scene.folder / "mallory" / "handed-out.pem"
        file.write_bytes(handed_out(self._scene.case, self._scene.folder / "ca"))
        return file

    @property
    def loot(self) -> Loot:
        """See `attacks.Foothold`."""
        return self._scene.loot()

    def told(self, member: str) -> Address:
        """See `attacks.Foothold`: what the roster would say; the discard port where the member is not there."""
        there = self._scene.members.get(member)
        return self._scene.network.hosts[member].address, there.client.session.udp_port if there else 9

    def name_of(self, address: str) -> str:
        """See `attacks.Foothold`."""
        hosts = self._scene.network.hosts.values()
        return next((host.name for host in hosts if host.address == address), address)

    def note(self, text: str) -> None:
        """See `attacks.Foothold`."""
        self.notes.append(text)
        self._scene.watch("wire", text)

    @property
    def via(self) -> str:
        """See `attacks.Foothold`."""
        return self._scene.via

    @property
    def slow(self) -> bool:
        """See `attacks.Foothold`."""
        return self._scene.slow

    def missed(self, why: str) -> None:
        """See `attacks.Foothold`."""
        self._scene.missed.append(why)
        self.note(f"Mallory is not on the path: {why}")

    async def explain(self, text: str) -> None:
        """See `attacks.Foothold`."""
        if self.slow:
            self.note(text)
            await asyncio.sleep(len(text) * SECONDS_A_LETTER)

    async def settled(self, task: "asyncio.Task[Claim]") -> None:
        """Wait until the attack waits for a moment, or has ended."""
        idle = asyncio.create_task(self._idle.wait())
        seconds = SLOW_ATTACK_SECONDS if self.slow else ATTACK_SECONDS
        done, _ = await asyncio.wait([idle, task], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if not done:
            raise LabError(f"The attack did not come to an end within {seconds:g} s.")
        if task in done:
            task.result()  # an attack that crashed is no verdict: let it be seen

    async def reach(self, moment: Moment, task: "asyncio.Task[Claim]") -> None:
        """The scene has come to this moment: wake the attack if it waits for it, and wait until it is done."""
        if not task.done() and self._waiting_for == moment:
            self._waiting_for = None
            self._idle.clear()
            before = time.process_time()
            self._go.set()
            await self.settled(task)
            self._scene.cpu_seconds += time.process_time() - before
