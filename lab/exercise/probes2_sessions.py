"""The probes of stage 2 about sessions: who speaks on them, which of two stays, what a removed account's becomes."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from lab.exercise import lines
from lab.exercise.probes import Asking, scene_probe
from lab.exercise.program import ANSWER_SECONDS, Trouble

TOLD_SECONDS: Final = 1.0
"""How long an older session may take to hear that it has ended, when the newer one is in already."""


class Session:
    """A connection to the learner's server that says what it is told to, and hears what comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._came = b""

    async def say(self, message: dict[str, Any]) -> None:
        """Send it."""
        await asyncio.get_running_loop().sock_sendall(self._sock, msgspec.json.encode(message) + b"\n")

    async def heard(self, *kinds: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The next message of one of these kinds; an empty one where none comes. Raises Trouble."""
        try:
            async with asyncio.timeout(seconds):
                while message := await self._next():
                    if message.get("type") in kinds:
                        return message
        except TimeoutError:
            return {}
        except lines.Nonsense:
            raise Trouble("Your server sent a line that is no message.") from None
        return {}

    async def _next(self) -> dict[str, Any]:
        while b"\n" not in self._came:
            with contextlib.suppress(ConnectionError):
                if piece := await asyncio.get_running_loop().sock_recv(self._sock, 1 << 16):
                    self._came += piece
                    continue
            return {}
        line, _, self._came = self._came.partition(b"\n")
        return lines.decoded(msgspec.json.Decoder(dict[str, Any]), line)


@contextlib.asynccontextmanager
async def entered(at: Asking, kind: str, name: str, password: str) -> AsyncIterator[Session]:
    """A session under this name, by `register` or `login`. Raises Trouble where it is not let in."""
    with await at.dial() as sock:
        session = Session(sock)
        await session.say({"type": kind, "name": name, "password": password, "udp_port": 4000})
        answer = await session.heard("roster", "refused")
        if answer.get("type") != "roster":
            raise Trouble(f"Your server answered a `{kind}` that is in order with {str(answer)[:200]}.")
        yield session


def _drawn(what: str) -> str:
    return f"{what}-{secrets.token_hex(3)}"


@scene_probe
async def sender_is_written_on_every_say(at: Asking) -> str:
    """To one member as to the room: what Carol sends in Alice's name arrives in Carol's."""
    alice, bob, carol, text = _drawn("alice"), _drawn("bob"), _drawn("carol"), _drawn("hello")
    async with (
        at.server(),
        entered(at, "register", bob, _drawn("password")) as listening,
        entered(at, "register", carol, _drawn("password")) as speaking,
    ):
        for to in ({}, {"to": bob}):
            await speaking.say({"type": "say", "from": alice, "text": text, **to})
            heard = await listening.heard("say")
            if heard.get("from") != carol or heard.get("text") != text:
                what = "to one member" if to else "to the room"
                return f"What {carol} said {what} as {alice} arrived as {str(heard)[:200]}."
    return ""


@scene_probe
async def older_session_ends(at: Asking) -> str:
    """A second login with the right password: the first session is told, and closed."""
    name, password = _drawn("alice"), _drawn("password")
    async with at.server(), entered(at, "register", name, password) as older, entered(at, "login", name, password):
        answer = await older.heard("refused", seconds=TOLD_SECONDS)
    if answer.get("code") != "replaced":
        return (
            f"After a second login the older session was not refused with `replaced`, but with {answer or 'nothing'}."
        )
    return ""


@scene_probe
async def removed_is_gone(at: Asking) -> str:
    """When the operator removes an account, its session ends, and its password lets nobody in any more."""
    name, password = _drawn("alice"), _drawn("password")
    async with at.server():
        async with entered(at, "register", name, password) as session:
            at.remove(name)
            answer = await session.heard("refused")
            if answer.get("code") != "removed":
                return f"The session of an account that was removed was not refused with `removed`: {answer}."
        answer = await at.asked({"type": "login", "name": name, "password": password, "udp_port": 4000})
    return "" if answer.get("type") == "refused" else "After Server.remove the account's password still lets people in."
