"""The adapter: what the lab's attacks need to be told to work on IRC, and what they say.

Each is an attack like those of the stages, in a catalogue of its own. `expected` has one letter, for the target as it
comes; what is expected under other levers stands beside it and is run as well.
"""

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from attacks import Attack, Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from attacks.tap import tapped
from attacks.terminate import terminating
from common.loopback import Intercepted
from common.session import Show
from lab.field import irc

if TYPE_CHECKING:
    from attacks.listener import Heard

FIELD: Final[dict[str, Attack]] = {}
"""The field's catalogue."""

TLS: Final = "transport=tls"
UNVERIFIED: Final = "transport=tls verify=none"
UNHEARD: Final = {1: {UNVERIFIED: "H", "lan=switch": "H"}}
"""Whoever only listens gains nothing by clients that believe everybody; and on a switch hears nothing."""

BELIEVED: Final = {1: {UNVERIFIED: "B"}}
"""Whoever is on the path and shows any certificate is taken for the server by such clients."""


@attack(
    position="tap",
    goals=(
        Goal("channel", "read what is said in the channel", "read-room", "B", remedy=TLS, what_ifs=UNHEARD),
        Goal("private", "read a private message", "read-whisper", "B", remedy=TLS, what_ifs=UNHEARD),
        Goal("password", "learn the operator's password", "read-password", "B", remedy=TLS, what_ifs=UNHEARD),
    ),
    catalogue=FIELD,
)
async def sniffer(foothold: Foothold, goal: Goal) -> Claim:
    """Eve is on the same open Wi-Fi and does nothing. IRC is lines of text, so whoever can put a TCP stream together
    can read them: the channel, the messages that are called private, and the password of whoever becomes an operator.
    """
    claim = Claim(did="listened")
    with tapped(foothold, lambda heard: claim.read.extend(heard.words), irc.fields):
        await foothold.until("over")
    return claim


@attack(
    position="outsider",
    goals=(
        Goal(
            "absent",
            "speak as Alice, who has left",
            wins="forged-room",
            expected="B",
            remedy="access=password",
            what_ifs={1: {TLS: "B"}},
        ),
        Goal("present", "speak as Alice, who is there", "forged-room", "H", ablation="alice=leaves-early"),
        Goal(
            "look-alike",
            "speak under a nick that looks like Alice's",
            wins="look-alike-room",
            expected="B",
            remedy="access=password",
            what_ifs={1: {TLS: "B"}},
        ),
    ),
    catalogue=FIELD,
)
async def impersonation(foothold: Foothold, goal: Goal) -> Claim:
    """A nick on IRC belongs to whoever has it at the moment; the server compares it with those who are connected, and
    with nothing else. Mallory asks for Alice's as soon as Alice has gone, or while she is there, or takes one that
    differs from hers in a letter that few people look at twice.
    """
    await foothold.until("alice-left" if goal.name == "absent" else "talking")
    return await _speak_as("a1ice" if goal.name == "look-alike" else "alice", foothold)


async def _speak_as(nick: str, foothold: Foothold) -> Claim:
    words = f"Bob, please send 100 to account {secrets.randbelow(10**8):08d}."
    visitor = Visitor(foothold)
    if not await visitor.enter(nick):
        return Claim(did=f"asked for the nick {nick}, and was not let in")
    await visitor.leave(words)
    return Claim(did=f"joined as {nick} and said: {words}")


class Visitor:
    """An attacker's own connection to the server, with an ordinary client."""

    def __init__(self, foothold: Foothold) -> None:
        self._foothold = foothold
        self._shown: list[str] = []
        self._changed = asyncio.Event()

    async def enter(self, nick: str, password: str = "") -> bool:
        """Connect and join; False where the server does not let us in."""
        self.client = await self._foothold.enter(nick, self._show, password)
        return await self.until("here: ")

    async def type(self, line: str, answer: str) -> bool:
        """Type a line; does an answer that begins so come, before the connection ends?"""
        self._shown.clear()
        self.client.typed(line)
        return await self.until(answer)

    async def until(self, beginning: str) -> bool:
        """Wait for what begins so to be shown; False where the connection ends without."""
        over = asyncio.create_task(self.client.ended.wait())
        while not any(text.startswith(beginning) for text in self._shown) and not over.done():
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait([changed, over], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        over.cancel()
        return any(text.startswith(beginning) for text in self._shown)

    async def leave(self, words: str = "") -> None:
        """Say something, and go."""
        self.client.typed(words)
        self.client.close()
        await self.client.ended.wait()

    def _show(self, show: Show) -> None:
        self._foothold.note(f"{self._foothold.host.name}'s screen: {show.text}")
        self._shown.append(show.text)
        self._changed.set()


@attack(
    position="tap",
    goals=(
        Goal(
            "kill",
            "throw Alice out with her own password and speak as her",
            wins="forged-room",
            expected="B",
            remedy=TLS,
            what_ifs=UNHEARD,
        ),
    ),
    catalogue=FIELD,
)
async def stolen_operator(foothold: Foothold, goal: Goal) -> Claim:
    """While Alice is there, her nick cannot be had. But an operator may end anybody's connection (KILL), Alice is an
    operator, and the password with which she said so went over the air. Eve becomes an operator too, leaves the
    channel, throws Alice out, has her nick before Alice's client can come back, and joins again.
    """
    heard: list[Heard] = []
    with tapped(foothold, heard.append, irc.fields):
        await foothold.until("talking")
    passwords = [h.fields["password"] for h in heard if h.fields["type"] == "OPER" and "password" in h.fields]
    if not passwords:
        return Claim(did="listened, and heard nobody become an operator")
    visitor = Visitor(foothold)
    if not await visitor.enter("eve", passwords[-1]):
        return Claim(did="heard the operator's password, and was not let in")
    if not await visitor.type("/oper alice", "you are an IRC operator now"):
        return Claim(did="tried the operator's password, and was refused")
    visitor.client.typed("/part")  # so that nobody in the channel sees a nick change
    visitor.client.typed("/kill alice We are cleaning up")
    if not await visitor.type("/nick alice", "eve is called alice now"):
        return Claim(did="became an operator, but did not get Alice's nick")
    await visitor.type("/join", "here: ")
    words = f"Bob, please send 100 to account {secrets.randbelow(10**8):08d}."
    await visitor.leave(words)
    return Claim(did=f"became an operator, threw Alice out, took her nick, and said: {words}")


@attack(
    position="on-path",
    goals=(
        Goal("read", "read what is said in the channel", "read-room", "B", remedy=TLS, what_ifs=BELIEVED),
        Goal("modify", "Bob shows other words than Alice typed", "altered-room", "B", remedy=TLS, what_ifs=BELIEVED),
        Goal("insert", "Bob shows what Alice never sent", "inserted-room", "B", remedy=TLS, what_ifs=BELIEVED),
        Goal(
            "private",
            "read a private message, or change it",
            "read-or-altered-whisper",
            "B",
            remedy=TLS,
            what_ifs=BELIEVED,
        ),
    ),
    catalogue=FIELD,
)
async def mitm(foothold: Foothold, goal: Goal) -> Claim:
    """On a switch nothing comes by Mallory by itself, so she lies to all hosts by ARP until it does, exactly as against
    a stage. What comes then is IRC: she waits for Alice's PRIVMSG, and passes on that line, another, or one more. A
    client that speaks TLS is answered with a certificate of her own; whether it believes that is its own affair.
    """
    claim = Claim(did=f"carried every connection ({goal.name})")
    number = f"{secrets.randbelow(10**6):06d}"

    def rewrite(raw: bytes, who: str) -> list[bytes]:
        line = irc.parsed(raw)
        if line is None or line.command != "PRIVMSG" or (line.params[0] == irc.CHANNEL) == (goal.name == "private"):
            return [raw]
        to, text = line.params
        claim.read.append(text)
        foothold.note(f"{who} says to {to}: {text}")
        if who != "alice" or goal.name == "read":
            return [raw]
        claim.did = f"{'added to' if goal.name == 'insert' else 'changed'} what Alice said, with the number {number}"
        texts = {
            "modify": [f"Good morning! The door code is {number}."],
            "insert": [text, f"And please call {number}."],
            "private": [f"Between us: the safe opens with {number}."],
        }
        return [irc.written(irc.Line("PRIVMSG", [to, words])).removesuffix(b"\n") for words in texts[goal.name]]

    async def carry(intercepted: Intercepted) -> None:
        who = foothold.name_of(intercepted.client[0])
        await Splice(intercepted, lambda raw: rewrite(raw, who)).run()

    async with on_path(foothold, terminating(carry, foothold.note)):
        await foothold.until("over")
    return claim
