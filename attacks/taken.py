"""What a taken server can do with what it carries: what the attacks of position `server` share."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from attacks import Foothold
from attacks.boxes import BetweenBoxes, boxed
from attacks.exchange import Asking
from attacks.words import message_in
from common.messages import Left, Message
from common.session import Address, Send, ServerEffect
from common.wire import encode_datagram

PEOPLE: Final = 8
"""For how many members whispers are taken in; further ones keep their true address."""


def words(message: Message) -> list[str]:
    """Every text in a message, whatever the field is called; of bytes, what they say as text."""
    fields = msgspec.structs.asdict(message).values()
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in fields]
    return [text for text in texts if isinstance(text, str)]


def said_by(name: str, session: Any, message: Message) -> bool:
    """Does this member speak here?"""
    return bool(session.name == name and type(message).__struct_config__.tag == "say")


def reaches(session: Any, effects: list[ServerEffect]) -> bool:
    """Is something sent to this session here?"""
    return any(isinstance(e, Send) and session in e.to for e in effects)


def members(foothold: Foothold) -> dict[str, Any]:
    """Everybody who is there, as the roster says it, by name."""
    pages = foothold.taken.server.room.roster()
    return {member.name: member for page in pages for member in page.members}


def introduce_again(foothold: Foothold, between: BetweenBoxes, names: Iterable[str]) -> None:
    """Tell everybody that these members went and came back, now with our keys."""
    taken, room = foothold.taken, foothold.taken.server.room
    for name, member in members(foothold).items():
        between.carry(member, name)  # it learns the true key
    for name, member in members(foothold).items():
        if name in names:
            fields = {f: getattr(member, f) for f in member.__struct_fields__} | {"public_key": between.public(name)}
            back = foothold.stage.messages["joined"](**fields)
            others = list(room.all_but(room.session(name)))
            taken.perform(None, [Send(Left(name=name), others), Send(back, others)])


@dataclass
class Mailboxes:
    """Whispers pass the server by, unless the addresses that it announces are its own: then they come here first."""

    foothold: Foothold
    carry: Callable[[Any, str], Any]
    """Gets a whisper and whom it is for, returns what goes on in its place."""
    free: list[socket.socket]
    """Nobody's yet."""
    own: dict[str, int] = field(default_factory=dict)
    """At which of our ports a member's whispers arrive."""
    true: dict[str, Address] = field(default_factory=dict)

    def announce(self, message: Any, to: str) -> Any:
        """The same roster, or the same newcomer, with our address for each member but the one that it goes to."""
        if hasattr(message, "members"):
            return replace(message, members=[self._at_ours(member, to) for member in message.members])
        return self._at_ours(message, to) if hasattr(message, "udp_port") else message

    def _at_ours(self, member: Any, to: str) -> Any:
        if member.name not in self.own and self.free:
            self.own[member.name] = self.free.pop().getsockname()[1]
        self.true[member.name] = (member.address, member.udp_port)
        if member.name == to or member.name not in self.own:
            return member
        return replace(member, address=self.foothold.host.address, udp_port=self.own[member.name])

    def pass_on(self, sock: socket.socket) -> None:
        """A datagram has come in: send on what is to be in its place."""
        message = message_in(self.foothold.stage, sock.recv(1 << 16))
        if message is not None and message.to in self.true:
            sock.sendto(encode_datagram(self.carry(message, message.to)), self.true[message.to])


@contextlib.asynccontextmanager
async def mailboxes(foothold: Foothold, carry: Callable[[Any, str], Any] | None) -> AsyncIterator[Mailboxes]:
    """Take in the members' whispers until the block ends; without `carry`, leave them alone."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(await foothold.host.bind_udp()) for _ in range(PEOPLE if carry else 0)]
        mail = Mailboxes(foothold, carry or (lambda whisper, to: whisper), list(socks))
        for sock in socks:
            loop.add_reader(sock, mail.pass_on, sock)
            stack.callback(loop.remove_reader, sock)
        yield mail


def kept_from(session: Any, effects: list[ServerEffect]) -> list[ServerEffect]:
    """The same effects, but what was meant for this session is not sent to it."""
    return [replace(e, to=[s for s in e.to if s is not session]) if isinstance(e, Send) else e for e in effects]


class Ghost:
    """A member played by the server: an invented one, or one who is there and knows nothing of it."""

    def __init__(self, foothold: Foothold, name: str) -> None:
        self.name = name
        self.key: bytes | None = None
        self._foothold = foothold
        self._asking: Asking | None = None
        self._between = BetweenBoxes(foothold.stage, foothold.note) if boxed(foothold.stage) else None

    def announce(self) -> None:
        """Tell everybody that the ghost has come."""
        taken = self._foothold.taken
        own = {"public_key": self._between.public(self.name)} if self._between else {}
        here = self._foothold.stage.messages["joined"](
            name=self.name, address=self._foothold.host.address, udp_port=9, **own
        )
        taken.perform(None, [Send(here, taken.server.room.all_but(None))])

    async def get_key(self, holder: str) -> bool:
        """Ask a member for the room key, as any newcomer does; True when the answer has come.

        Where members have public keys, there is nothing to ask for: the two agree on a key by themselves.
        """
        taken = self._foothold.taken
        if self._between:
            self._between.carry(members(self._foothold)[holder], holder)  # it learns the true key
            self.key = self._between.key(self.name, holder)
            return True
        session = taken.server.room.session(holder)
        self._asking = Asking(self._foothold.stage, self.name, holder)
        taken.perform(session, [Send(self._asking.request, [session])])
        return await taken.until(lambda: self.key is not None)

    def takes(self, message: Any) -> bool:
        """Is this for the ghost: the answer, or something said to it? The hook asks, and passes it on to nobody."""
        if self._between:
            return bool(getattr(message, "to", None) == self.name)
        if self._asking is None or type(message).__struct_config__.tag != "key-grant":
            return False
        if message.to != self.name:
            return False
        self.key = self._asking.key(message)
        return True
