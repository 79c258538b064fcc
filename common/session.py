"""What a session answers: effects. No socket, no clock, no randomness here.

A stage's server and client are plain objects. They are told what happened (`received`, `datagram`,
`disconnected`) and return what should be done about it, as a list of the effects below. The runtime carries
the effects out; a test just reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from common.messages import Message, Refused

Address: TypeAlias = tuple[str, int]


class Send(NamedTuple):
    """Give `message` to each of the sessions in `to`; a client has one peer and leaves `to` empty.

    The message is encoded once, however many it goes to.
    """

    message: Message
    to: "Sequence[ServerSession]" = ()


class Close(NamedTuple):
    """End this session's connection, after what was sent before."""


class Datagram(NamedTuple):
    """Send `message` to a member's UDP address."""

    message: Message
    to: Address


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


ServerEffect: TypeAlias = Send | Close
ClientEffect: TypeAlias = Send | Close | Datagram | Show


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


class ClientSession(Protocol):
    """A member's client: what it sends and what it shows."""

    accepts: ClassVar[Any]
    whispers: ClassVar[Any]
    name: str
    udp_port: int

    def connected(self) -> list[ClientEffect]:
        """The connection stands."""

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
    return [Send(Refused(code=code, reason=reason), [session]), Close()]


def notice(text: str) -> Show:
    """Something happened."""
    return Show("notice", text)


def alarm(text: str) -> Show:
    """Something is wrong, and the person should know."""
    return Show("alarm", text)
