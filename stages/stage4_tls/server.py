"""The server: lets people in, relays what they say, tells who comes and goes.

`python -m` with this module's full name runs it by hand; --help says how.
"""

from typing import ClassVar, TypeAlias

from msgspec.structs import replace

from common.command_line import serve
from common.messages import Joined, Left, Presence, Undelivered
from common.room import Room
from common.session import Send, ServerEffect, Work, refuse

from .accounts import Accounts, Login, Register
from .room_key import KeyGrant, KeyRequest, Say

Relayed: TypeAlias = Say | KeyRequest | KeyGrant


class Server:
    """What all connections share: the room and the accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self.room: Room[ServerSession] = Room()
        self.accounts = accounts

    def session(self, address: str) -> "ServerSession":
        """A client connected from this address."""
        return ServerSession(self.room, self.accounts, address)

    def remove(self, name: str) -> list[ServerEffect]:
        """The operator takes an account away, and ends its session."""
        self.accounts.remove(name)
        session = self.room.session(name)
        return refuse(session, "removed", "The operator removed your account.") if session else []


class ServerSession:
    """One client's connection: outside until it has joined, then a member until it goes."""

    accepts: ClassVar[TypeAlias] = Register | Login | Say | KeyRequest | KeyGrant

    def __init__(self, room: Room["ServerSession"], accounts: Accounts, address: str) -> None:
        self.room = room
        self.accounts = accounts
        self.address = address
        self.name: str | None = None

    @property
    def inside(self) -> bool:
        return self.name is not None

    def received(self, message: Register | Login | Say | KeyRequest | KeyGrant) -> list[ServerEffect]:
        """One table is the whole protocol: what may be said when. Anything else is refused."""
        match self.name, message:
            case None, Register() | Login():
                return self.admit(message)
            case str(), Say() | KeyRequest() | KeyGrant():
                return self.relay(message)
            case None, _:
                login = '{"type":"login","name":…,"password":…,"udp_port":…}'
                return refuse(self, "not-joined", f"Say who you are first: {login}.")
            case _:
                return refuse(self, "already-joined", f"You are in already, as {self.name}; open another connection.")

    def admit(self, message: Register | Login) -> list[ServerEffect]:
        """Decide who comes in: whoever makes an account, or knows an account's password."""
        ask = self.accounts.register if isinstance(message, Register) else self.accounts.verify
        return [Work(lambda: ask(message.name, message.password), lambda right: self.admitted(message, right=right))]

    def admitted(self, message: Register | Login, *, right: bool) -> list[ServerEffect]:
        """The accounts have answered. A wrong password and an unknown name get one answer: it tells nobody which.

        They are asked again whether there is an account, because it may have been removed during the slow answer.
        """
        if right and self.accounts.has(message.name):
            return [*self.replace_older(message.name), *self.enter(message)]
        if isinstance(message, Register):
            return refuse(self, "name-taken", f"The name {message.name} is taken, or looks like one that is.")
        return refuse(self, "wrong-password", "The name or the password is not right.")

    def replace_older(self, name: str) -> list[ServerEffect]:
        """Whoever knows the password is the member: an older session of theirs ends, and is told why."""
        older = self.room.session(name)
        if older is None:
            return []
        reason = "You logged in from somewhere else, so this session ended."
        return [*refuse(older, "replaced", reason), *older.disconnected()]

    def enter(self, message: Register | Login) -> list[ServerEffect]:
        """Let a newcomer in, give them the roster, tell the others."""
        self.name = message.name
        presence = Presence(name=message.name, address=self.address, udp_port=message.udp_port)
        self.room.enter(self, presence)
        joined = Joined(name=presence.name, address=presence.address, udp_port=presence.udp_port)
        return [*(Send(page, [self]) for page in self.room.roster()), Send(joined, self.room.all_but(self))]

    def relay(self, message: Relayed) -> list[ServerEffect]:
        """Pass on what was said, to the room or to one member."""
        said = self.attribute(message)
        if said.to is None:
            return [Send(said, self.room.all_but(self))]
        recipient = self.room.session(said.to)
        if recipient is None:
            return [Send(Undelivered(to=said.to), [self])]
        return [Send(said, [recipient])]

    def attribute(self, message: Relayed) -> Relayed:
        """Write the session's name on it, whatever name it came with: this stops Carol from speaking as Alice."""
        return replace(message, sender=str(self.name))

    def disconnected(self) -> list[ServerEffect]:
        """Whoever goes frees the name, and the others hear of it."""
        name, self.name = self.name, None
        if name is None:
            return []
        self.room.leave(name)
        return [Send(Left(name=name), self.room.all_but(self))]


if __name__ == "__main__":
    serve(__package__)
