"""The scene of the field: the stages' conversation, over IRC, on a server that is started for it.

Alice, Bob and Carol join #lab, Alice becomes an operator, they talk, Alice writes to Bob alone, and they leave.
Canaries, screens and waiting are those of every scene.
"""

import contextlib
from typing import Any

from lab.hosting import Running
from lab.scene import Moments, Scene, SceneFoothold


class FieldScene(Scene):
    """One run of the conversation over IRC."""

    def hosted(self, server_side: Any) -> contextlib.AbstractAsyncContextManager[Running]:
        """ngircd, with Alice's password as the operator's, and where it asks for one, that which all were told."""
        alice = self.people["alice"]
        running: contextlib.AbstractAsyncContextManager[Running] = self.server.running(
            self.network.hosts["server"], alice.password, alice.passphrase
        )
        return running

    async def _script(self, cast: list[str], foothold: SceneFoothold | None, moment: Moments) -> None:
        for name in cast:
            await self._join(name)
        await self._become_operator("alice")
        await self.say("alice", f"Good morning! The door code is {self.canaries['room']}.")
        await self.say("bob", "Thanks, Alice. I will be there at nine.")
        await self.whisper("alice", "bob", f"Between us: the safe opens with {self.canaries['whisper']}.")
        await self.say("carol", "Good morning from Carol.")
        if self.levers["alice"] == "leaves-early":
            await self._leave("alice")
        await moment("talking")
        await self.say("alice", "I have to go now.")
        await self._leave("alice")
        await moment("alice-left")
        await self.say("bob", "So long!")
        await self._leave("bob")
        await self._leave("carol")
        await moment("over")

    async def _become_operator(self, name: str) -> None:
        """Somebody identifies, as the operators of a server do; the password is her client's to send."""
        if name in self.members:
            member = self.members[name]
            member.type("/oper")
            await member.screen.until(lambda shown: any("IRC operator" in s.text for s in shown), self.patience)
