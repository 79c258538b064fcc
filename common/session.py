"""What a session answers: effects. No socket, no clock, no randomness here.

A stage's server and client are plain objects. They are told what happened (`received`, `datagram`,
`disconnected`) and return what should be done about it, as a list of the effects below. The runtime carries
the effects out; a test just reads them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import msgspec

from common.messages import Message, Refused

Address: TypeAlias = tuple[str, int]


class Send(msgspec.Struct, frozen=True):
    """Give `message` to each of the sessions in `to`; a client has one peer and leaves `to` empty.

    The message is encoded once, however many it goes to.
    """

    message: Message
    to: "Sequence[ServerSession]" = ()


class Close(msgspec.Struct, frozen=True):
    """End a session's connection, after what was sent before: this one's, or that of `session`."""

    session: "ServerSession | None" = None


class Work(msgspec.Struct, frozen=True):
    """Do something slow elsewhere, so that nobody waits for it; then go on with what it returned.

    The runtime calls `slow` in a bounded pool and hands its result to `then`, which returns further effects. Until
    then nothing more is read from this connection.
    """

    slow: Callable[[], Any]
    then: "Callable[[Any], list[ServerEffect]]"


class Datagram(msgspec.Struct, frozen=True):
    """Send `message` to a member's UDP address."""

    message: Message
    to: Address


class Later(msgspec.Struct, frozen=True):
    """After so many seconds, do what `then` says; a client has no clock of its own."""

    seconds: float
    then: "Callable[[], list[ClientEffect]]"


@dataclass(frozen=True, slots=True)
class Show:
    """Let the person see this.

    kind: `room`, `direct` (through the server, to me alone), `whisper` (over UDP), `notice` (something
    happened) or `alarm` (something is wrong).
    sender: whom the line is attributed to; none for notices and alarms.
    """

    kind: str
    text: str
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits at a client: what a session is made with.

    password, register: from stage 2 on; a new account is made where `register` is set.
    folder: where what must outlive a run is kept, such as keys; None where a stage keeps nothing.
    ca: from stage 4 on; the authority that the person was given, out of band; None for the one beside `folder`.
    passphrase: where the levers want one; what all members of the room were told, out of band.
    """

    name: str
    udp_port: int
    password: str = ""
    register: bool = False
    folder: Path | None = None
    ca: Path | None = None
    passphrase: str = ""


ServerEffect: TypeAlias = Send | Close | Work
ClientEffect: TypeAlias = Send | Close | Datagram | Later | Show


class ServerSession(Protocol):
    """One client's connection, as the server sees it."""

    accepts: ClassVar[Any]
    """The union of message types this endpoint takes; the decoder refuses all others."""

    @property
    def inside(self) -> bool:
        """Has the client been let in? Until then the join time-out runs."""

    def received(self, message: Any) -> list[ServerEffect]:
        """A message arrived."""

    def disconnected(self) -> list[ServerEffect]:
        """The connection is gone, for whatever reason. Called exactly once."""


class Server(Protocol):
    """What the sessions of one server share, and where they are made."""

    def session(self, address: str) -> ServerSession:
        """A client connected from this address."""

    def remove(self, name: str) -> list[ServerEffect]:
        """The operator takes a member's place away."""


class ClientSession(Protocol):
    """A member's client: what it sends and what it shows."""

    accepts: ClassVar[Any]
    whispers: ClassVar[Any]
    name: str
    udp_port: int

    @property
    def commands(self) -> "Mapping[str, Callable[[str], list[ClientEffect]]]":
        """What can be typed beside what every stage has, such as `/verify`."""

    def connected(self) -> list[ClientEffect]:
        """The connection stands."""

    def disconnected(self) -> None:
        """The connection ended, and another will be made: forget what belonged to it."""

    def received(self, message: Any) -> list[ClientEffect]:
        """A message arrived from the server."""

    def datagram(self, message: Any, source: Address) -> list[ClientEffect]:
        """A well-formed datagram arrived. Its source address is no evidence of who sent it."""

    def say(self, text: str, to: str | None = None) -> list[ClientEffect]:
        """The person speaks to the room, or to one member through the server."""

    def whisper(self, to: str, text: str) -> list[ClientEffect]:
        """The person speaks to one member directly, over UDP."""

    def who(self) -> list[ClientEffect]:
        """The person asks who is there."""


def refuse(session: ServerSession, code: str, reason: str) -> list[ServerEffect]:
    """Say why, then close."""
    return [Send(Refused(code=code, reason=reason), [session]), Close(session)]


def notice(text: str) -> Show:
    """Something happened."""
    return Show("notice", text)


def alarm(text: str) -> Show:
    """Something is wrong, and the person should know."""
    return Show("alarm", text)
