"""The server: lets people in, relays what they say, tells who comes and goes.

`python -m` with this module's full name runs it by hand; --help says how.
"""

from typing import ClassVar, TypeAlias

from common.command_line import serve
from common.messages import Join, Joined, Left, Presence, Say, Undelivered
from common.room import Room
from common.session import Send, ServerEffect, refuse


class Server:
    """What all connections share: the room."""

    def __init__(self) -> None:
        self.room: Room[ServerSession] = Room()

    def session(self, address: str) -> "ServerSession":
        """A client connected from this address."""
        return ServerSession(self.room, address)

    def remove(self, name: str) -> list[ServerEffect]:
        """The operator shows somebody out; at this stage nothing keeps them from coming back."""
        session = self.room.session(name)
        return refuse(session, "removed", "The operator removed you from the room.") if session else []


class ServerSession:
    """One client's connection: outside until it has joined, then a member until it goes."""

    accepts: ClassVar[TypeAlias] = Join | Say

    def __init__(self, room: Room["ServerSession"], address: str) -> None:
        self.room = room
        self.address = address
        self.name: str | None = None

    @property
    def inside(self) -> bool:
        return self.name is not None

    def received(self, message: Join | Say) -> list[ServerEffect]:
        """One table is the whole protocol: what may be said when. Anything else is refused."""
        match self.name, message:
            case None, Join():
                return self.admit(message)
            case str(), Say():
                return self.relay(message)
            case None, _:
                return refuse(self, "not-joined", 'Say who you are first: {"type":"join","name":…,"udp_port":…}.')
            case _:
                return refuse(self, "already-joined", f"You are in already, as {self.name}; open another connection.")

    def admit(self, message: Join) -> list[ServerEffect]:
        """Decide who comes in. A free name is enough: nobody is asked to prove who they are."""
        taken = self.room.resembling(message.name)
        if taken == message.name:
            return refuse(self, "name-in-use", f"The name {taken} is in use; choose another.")
        if taken:
            return refuse(self, "look-alike", f"The name {message.name} looks like {taken}; choose another.")
        return self.enter(message)

    def enter(self, message: Join) -> list[ServerEffect]:
        """Let a newcomer in, give them the roster, tell the others."""
        self.name = message.name
        presence = Presence(name=message.name, address=self.address, udp_port=message.udp_port)
        self.room.enter(self, presence)
        joined = Joined(name=presence.name, address=presence.address, udp_port=presence.udp_port)
        return [*(Send(page, [self]) for page in self.room.roster()), Send(joined, self.room.all_but(self))]

    def relay(self, message: Say) -> list[ServerEffect]:
        """Pass on what was said, to the room or to one member.

        It goes out exactly as it came in, `from` and all: whoever is inside can speak as anyone.
        """
        if message.to is None:
            return [Send(message, self.room.all_but(self))]
        recipient = self.room.session(message.to)
        if recipient is None:
            return [Send(Undelivered(to=message.to), [self])]
        return [Send(message, [recipient])]

    def disconnected(self) -> list[ServerEffect]:
        """Whoever goes frees the name, and the others hear of it."""
        name, self.name = self.name, None
        if name is None:
            return []
        self.room.leave(name)
        return [Send(Left(name=name), self.room.all_but(self))]


if __name__ == "__main__":
    serve(__package__)
