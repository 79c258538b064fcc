"""The client: joins under a name, says and whispers, shows what it is told.

`python -m` with this module's full name runs it by hand; --help says how.
"""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from common.command_line import chat
from common.messages import Join, Joined, Left, Presence, Refused, Roster, Say, Undelivered, Whisper
from common.session import Address, ClientEffect, Close, Datagram, Send, Show, alarm, notice


class ClientSession:
    """One member's side of the conversation."""

    accepts: ClassVar[TypeAlias] = Roster | Joined | Left | Say | Undelivered | Refused
    whispers: ClassVar[TypeAlias] = Whisper
    commands: ClassVar[dict[str, Callable[[str], list[ClientEffect]]]] = {}

    def __init__(self, name: str, udp_port: int) -> None:
        self.name = name
        self.udp_port = udp_port
        self.roster: dict[str, Presence] = {}

    def connected(self) -> list[ClientEffect]:
        """Claim a name, and say where whispers are to be sent."""
        return [Send(Join(name=self.name, udp_port=self.udp_port))]

    def disconnected(self) -> None:
        """The connection ended, and another will be made: who is there has to be learnt anew."""
        self.roster.clear()

    def received(self, message: Roster | Joined | Left | Say | Undelivered | Refused) -> list[ClientEffect]:
        """Every message the server sends, and what the person sees of it."""
        match message:
            case Roster(members=members, more=more):
                self.roster.update((member.name, member) for member in members)
                return [] if more else self.who()
            case Joined(name=name, address=address, udp_port=udp_port):
                self.roster[name] = Presence(name=name, address=address, udp_port=udp_port)
                return [notice(f"{name} joined, from {address}")]
            case Left(name=name):
                self.roster.pop(name, None)
                return [notice(f"{name} left")]
            case Say():
                return self.hear(message)
            case Undelivered(to=to):
                return [notice(f"{to} is not here; your message was not delivered")]
            case Refused(reason=reason):
                return [alarm(f"The server refused: {reason}"), Close()]

    def hear(self, message: Say) -> list[ClientEffect]:
        """Show what somebody said, under the name that the message claims."""
        text = self.open(message.text)
        return [Show("room" if message.to is None else "direct", text, sender=message.sender)]

    def datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
        """Show a whisper from anyone in the roster, under the name that the datagram claims."""
        if message.sender not in self.roster:
            return [alarm(f"A whisper came from {message.sender}, who is not here; it was dropped.")]
        if message.to != self.name:
            return [alarm(f"A whisper for {message.to} came here; it was dropped.")]
        return [Show("whisper", self.open(message.text), sender=message.sender)]

    def say(self, text: str, to: str | None = None) -> list[ClientEffect]:
        """Speak to the room, or to one member through the server."""
        return [Send(Say(sender=self.name, text=self.seal(text), to=to))]

    def whisper(self, to: str, text: str) -> list[ClientEffect]:
        """Speak to one member directly: one datagram to the address in the roster."""
        if to not in self.roster:
            return [notice(f"{to} is not here; /who shows who is")]
        peer = self.roster[to]
        return [Datagram(Whisper(sender=self.name, to=to, text=self.seal(text)), (peer.address, peer.udp_port))]

    def who(self) -> list[ClientEffect]:
        """Show the roster."""
        return [notice("here: " + ", ".join(f"{m.name} ({m.address})" for m in self.roster.values()))]

    def seal(self, text: str) -> str:
        """Make a text ready for the wire. Nothing is done to it: whoever hears the wire reads it."""
        return text

    def open(self, text: str) -> str:
        """Take a text from the wire. Nothing is checked: whoever holds the wire can change it."""
        return text


if __name__ == "__main__":
    chat(__package__)
