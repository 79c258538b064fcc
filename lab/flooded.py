"""The scene of the attacks on availability: Alice and Bob go on talking while the attack lasts, and somebody new comes.

The server is a program of its own with a cap on its memory (`lab.capped`). Whether the attack has reached its goal is
read from the screens, as always: something that was said is not there after BOUND_SECONDS, or the newcomer is not in.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from attacks import Attack
from common.command_line import rows_for
from common.session import Server, Show
from lab.capped import capped
from lab.hosting import Running
from lab.scene import Moments, Scene, SceneFoothold
from lab.screens import Screen

BOUND_SECONDS: Final = 5.0
"""How long anything may take: on a calm machine it takes milliseconds; a busy one is no attack."""
TALK_SECONDS: Final = 3.0
"""How long they talk while the attack lasts."""
PAUSE_SECONDS: Final = 0.25
"""Between one round of it and the next: as people talk."""
NEWCOMER: Final = "dora"
FLOODER: Final = "carol"


class LongScreen(Screen):
    """A screen that shows what honest members say. Of Carol, where it is she who floods it, it shows nothing: ten
    thousand lines of hers would take the bench's time, and not the server's."""

    def show(self, show: Show) -> None:
        """As always, but for what comes from her, or is about her."""
        if show.sender != FLOODER and FLOODER not in show.text:
            super().show(show)


@dataclass
class FloodedScene(Scene):
    """See `lab.scene.Scene`."""

    ended: list[str] = field(default_factory=list)
    """Why the server was ended, if it was."""
    by_carol: bool = False
    """Is she the one who attacks?"""

    @contextlib.asynccontextmanager
    async def hosted(self, server_side: Server) -> AsyncIterator[Running]:
        """The server as a program of its own, until the block ends."""
        at = self.network.hosts["server"]
        async with capped(self.stage, self.levers, at, self.folder / "server") as (address, self.ended):
            yield Running(address, lambda session, effects: None)

    def _server(self, attack: Attack | None) -> Any:
        """It is elsewhere."""
        return None

    def _screen(self, name: str) -> Screen:
        return LongScreen(name, self.watch, rows_for(self.levers)) if self.by_carol else super()._screen(name)

    async def _script(self, cast: list[str], foothold: SceneFoothold | None, moment: Moments) -> None:
        self.patience, self.by_carol = BOUND_SECONDS, FLOODER not in cast
        for name in cast:
            await self._join(name)
        await self.say("alice", "Good morning!")
        await moment("talking")
        for number in range(int(TALK_SECONDS / PAUSE_SECONDS)):
            await self._talk(number)
            await asyncio.sleep(0 if self.unheard else PAUSE_SECONDS)
        if not self.unheard:
            self.kept_out = await self._first_visit(NEWCOMER, self.network.hosts["alice"], BOUND_SECONDS)
        await moment("over")
        for name in cast:
            await self._leave(name)

    async def _talk(self, number: int) -> None:
        """They say something each, and whisper; once something did not arrive, that is enough."""
        if not self.unheard:
            await self.say("alice", f"Can you hear me? {self.canaries['room']}-{number}")
        if not self.unheard:
            await self.say("bob", f"I can. {self.canaries['later-room']}-{number}")
        if not self.unheard:
            await self.whisper("alice", "bob", f"Good. {self.canaries['whisper']}-{number}")
