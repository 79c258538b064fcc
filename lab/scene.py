"""The scene: the scripted conversation that every attack is run against, and that is run first with nobody attacking.

Alice, Bob and Carol join, talk, whisper, leave. Every step waits until the others' screens show it, so a scene is as
fast as its messages; where an attack holds something back, patience ends the wait and the scene goes on.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from attacks import Attack, Claim, Goal, Moment
from common.errors import LabError
from common.hosts import Host
from common.levers import Levers
from common.runtime import Client
from common.session import Address, Show
from lab.hosting import join_member, running_server
from lab.network import Network
from lab.screens import Screen
from stages import Stage

PATIENCE: Final = 1.0
"""Seconds that a step waits for the others' screens before the scene goes on without."""

ATTACK_SECONDS: Final = 20.0
"""The longest that an attack may keep the scene standing."""

MEMBERS: Final = ("alice", "bob", "carol")

Watch = Callable[[str, str], None]


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
    client: Client
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
    members: dict[str, Member] = field(default_factory=dict)
    screens: dict[str, Screen] = field(default_factory=dict)
    spoken: list[Spoken] = field(default_factory=list)
    canaries: dict[str, str] = field(default_factory=dict)
    unheard: list[Spoken] = field(default_factory=list)
    """What was said and did not come up where it should within the patience."""

    async def play(self, attack: Attack | None = None, goal: Goal | None = None) -> Claim:
        """Run the conversation, with an attack where one is given, and return what it claims."""
        self.canaries = {kind: f"{kind}-{secrets.token_hex(6)}" for kind in ("room", "whisper")}
        async with running_server(self.stage, self.levers, self.network.hosts["server"]) as server:
            foothold = SceneFoothold(self, attack, server) if attack else None
            task = asyncio.create_task(attack.run(foothold, goal)) if attack and foothold and goal else None
            try:
                cast = [name for name in MEMBERS if not (attack and attack.position == "insider" and name == "carol")]
                await self._script(cast, foothold, task, server)
                return await task if task else Claim()
            finally:
                if task and not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                for member in self.members.values():
                    member.client.close()
                    await member.client.ended.wait()

    async def _script(
        self, cast: list[str], foothold: "SceneFoothold | None", task: "asyncio.Task[Claim] | None", server: Address
    ) -> None:
        async def moment(name: Moment) -> None:
            if foothold and task:
                await foothold.reach(name, task)

        if foothold and task:
            await foothold.settled(task)
        for name in cast:
            await self._join(name, server)
        await self._say("alice", f"Good morning! The door code is {self.canaries['room']}.")
        await self._say("bob", "Thanks, Alice. I will be there at nine.")
        await self._whisper("alice", "bob", f"Between us: the safe opens with {self.canaries['whisper']}.")
        if "carol" in cast:
            await self._say("carol", "Good morning from Carol.")
        await moment("talking")
        await self._say("alice", "I have to go now.")
        await self._leave("alice")
        await moment("alice-left")
        await self._say("bob", "So long!")
        await self._leave("bob")
        if "carol" in cast:
            await self._leave("carol")
        await moment("over")

    async def _join(self, name: str, server: Address) -> None:
        screen = self.screens[name] = Screen(name, self.watch)
        client = await join_member(self.stage, self.levers, self.network.hosts[name], name, server, screen.show)
        self.members[name] = Member(name, client, screen)
        await screen.until(lambda shown: any(s.text.startswith("here: ") for s in shown), self.patience)
        for other in self.members.values():
            if other.name != name:
                await other.screen.until(_shows("notice", f"{name} joined"), self.patience)

    async def _say(self, who: str, text: str) -> None:
        self.members[who].type(text)
        spoken = Spoken(who, "room", "", text)
        await self._heard(spoken, [m for m in self.members.values() if m.name != who])

    async def _whisper(self, who: str, to: str, text: str) -> None:
        self.members[who].type(f"/whisper {to} {text}")
        await self._heard(Spoken(who, "whisper", to, text), [self.members[to]])

    async def _heard(self, spoken: Spoken, listeners: list[Member]) -> None:
        """Wait until each listener's screen shows one more line of this kind from this person."""
        self.spoken.append(spoken)
        due = sum(1 for s in self.spoken if (s.who, s.kind) == (spoken.who, spoken.kind))

        def arrived(shown: list[Show]) -> bool:
            return sum(1 for s in shown if (s.sender, s.kind) == (spoken.who, spoken.kind)) >= due

        if not all([await member.screen.until(arrived, self.patience) for member in listeners]):
            self.unheard.append(spoken)

    async def _leave(self, name: str) -> None:
        member = self.members.pop(name)
        member.type("/quit")
        await member.client.ended.wait()
        for other in self.members.values():
            await other.screen.until(_shows("notice", f"{name} left"), self.patience)


def _shows(kind: str, beginning: str) -> Callable[[list[Show]], bool]:
    return lambda shown: any(s.kind == kind and s.text.startswith(beginning) for s in shown)


class SceneFoothold:
    """The attack's side of the scene. The two take turns: one stands still while the other works."""

    def __init__(self, scene: Scene, attack: Attack, server: Address) -> None:
        at = {"tap": "eve", "on-path": "mallory", "outsider": "mallory", "insider": "carol"}[attack.position]
        self._scene = scene
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

    def told(self, member: str) -> Address:
        """See `attacks.Foothold`: what the roster would say."""
        if member not in self._scene.members:
            raise LabError(f"{member} is not in the room now.")
        session = self._scene.members[member].client.session
        return self._scene.network.hosts[member].address, session.udp_port

    def name_of(self, address: str) -> str:
        """See `attacks.Foothold`."""
        hosts = self._scene.network.hosts.values()
        return next((host.name for host in hosts if host.address == address), address)

    def note(self, text: str) -> None:
        """See `attacks.Foothold`."""
        self.notes.append(text)
        self._scene.watch("wire", text)

    async def settled(self, task: "asyncio.Task[Claim]") -> None:
        """Wait until the attack waits for a moment, or has ended."""
        idle = asyncio.create_task(self._idle.wait())
        done, _ = await asyncio.wait([idle, task], timeout=ATTACK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if not done:
            raise LabError(f"The attack did not come to an end within {ATTACK_SECONDS:g} s.")
        if task in done:
            task.result()  # an attack that crashed is no verdict: let it be seen

    async def reach(self, moment: Moment, task: "asyncio.Task[Claim]") -> None:
        """The scene has come to this moment: wake the attack if it waits for it, and wait until it is done."""
        if not task.done() and self._waiting_for == moment:
            self._waiting_for = None
            self._idle.clear()
            self._go.set()
            await self.settled(task)
