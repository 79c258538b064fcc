"""The client: logs in, gets the room key, says and whispers under it, shows what it is told.

`python -m` with this module's full name runs it by hand; --help says how.
"""

from collections.abc import Callable
from itertools import takewhile
from typing import ClassVar, TypeAlias

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.command_line import chat
from common.messages import Joined, Left, Presence, Refused, Roster, Undelivered
from common.session import Address, ClientEffect, Close, Datagram, Later, Send, Show, alarm, notice

from .accounts import Login, Register
from .counters import Counters
from .room_key import Ciphers, Grant, KeyGrant, KeyRequest, Kind, NotOpened, RoomKey, Say, Whisper, unwrap, wrap

ANSWER_SECONDS = 2.0
"""How long a newcomer waits for one member's answer before asking the next."""


class ClientSession:
    """One member's side of the conversation."""

    accepts: ClassVar[TypeAlias] = Roster | Joined | Left | Say | KeyRequest | KeyGrant | Undelivered | Refused
    whispers: ClassVar[TypeAlias] = Whisper
    commands: ClassVar[dict[str, Callable[[str], list[ClientEffect]]]] = {}

    def __init__(
        self, name: str, udp_port: int, password: str, *, register: bool, ciphers: Ciphers, counters: Counters
    ) -> None:
        self.name = name
        self.udp_port = udp_port
        self.password = password
        self.register = register
        self.roster: dict[str, Presence] = {}
        self.ciphers = ciphers
        self.counters = counters
        self.room_key: RoomKey | None = None
        self.own = X25519PrivateKey.generate()
        self.asked: list[str] = []
        self.unanswered: dict[str, KeyRequest] = {}
        self.failures: dict[str, int] = {}

    def connected(self) -> list[ClientEffect]:
        """Make an account or log in, and say where whispers are to be sent."""
        enter = Register if self.register else Login
        return [Send(enter(name=self.name, password=self.password, udp_port=self.udp_port))]

    def disconnected(self) -> None:
        """The connection ended, and another will be made: who is there, and the room key, have to be learnt anew."""
        self.roster.clear()
        self.room_key = None
        self.own = X25519PrivateKey.generate()
        self.asked.clear()
        self.unanswered.clear()

    def received(
        self, message: Roster | Joined | Left | Say | KeyRequest | KeyGrant | Undelivered | Refused
    ) -> list[ClientEffect]:
        """Every message the server sends, and what the person sees of it."""
        match message:
            case Roster(members=members, more=more):
                self.register = False  # we are in, so there is an account: from now on we log in to it
                self.roster.update((member.name, member) for member in members)
                return [] if more else self.seek_key()
            case Joined(name=name, address=address, udp_port=udp_port):
                self.roster[name] = Presence(name=name, address=address, udp_port=udp_port)
                return [notice(f"{name} joined, from {address}")]
            case Left(name=name):
                self.roster.pop(name, None)
                self.unanswered.pop(name, None)
                return [notice(f"{name} left"), *self.no_answer(name)]
            case Say():
                return self.hear(message)
            case KeyRequest():
                return self.grant(message)
            case KeyGrant():
                return self.take_key(message)
            case Undelivered(to=to) if self.room_key is None:
                return self.no_answer(to)
            case Undelivered(to=to):
                return [notice(f"{to} is not here; your message was not delivered")]
            case Refused(reason=reason):
                return [alarm(f"The server refused: {reason}"), Close()]

    def seek_key(self) -> list[ClientEffect]:
        """Ask the member who has been here longest for the room key, then the next; where nobody was here before,
        make it."""
        if self.room_key is not None:
            return self.who()
        before = list(takewhile(lambda name: name != self.name, self.roster))
        if not before:
            return self.have_key(RoomKey.fresh(self.ciphers))
        if all(name in self.asked for name in before):
            self.asked.clear()  # nobody answered: begin again
        asked = next(name for name in before if name not in self.asked)
        self.asked.append(asked)
        request = KeyRequest(sender=self.name, to=asked, public_key=self.own.public_key().public_bytes_raw())
        return [Send(request), Later(ANSWER_SECONDS, lambda: self.no_answer(asked))]

    def no_answer(self, asked: str) -> list[ClientEffect]:
        """Whoever was asked last has gone, or does not answer."""
        return self.seek_key() if self.room_key is None and self.asked[-1:] == [asked] else []

    def have_key(self, key: RoomKey) -> list[ClientEffect]:
        """Now we can talk, and answer those who asked us meanwhile."""
        self.room_key = key
        unanswered, self.unanswered = self.unanswered, {}
        return [*self.who(), *(effect for request in unanswered.values() for effect in self.grant(request))]

    def grant(self, request: KeyRequest) -> list[ClientEffect]:
        """Give the room key to whoever the server says has come. Nothing proves that it is them."""
        if self.room_key is None:
            self.unanswered[request.sender] = request
            return []
        try:
            known = Grant(key=self.room_key.key, counters=self.counters.known(self.name))
            return [Send(wrap(known, request.sender, self.name, request))]
        except NotOpened:
            return [alarm(f"{request.sender} asked for the room key with a key that is none; it was not given.")]

    def take_key(self, answer: KeyGrant) -> list[ClientEffect]:
        """Take the room key from the first answer. Nothing proves whose it is."""
        if self.room_key is not None or answer.sender not in self.asked:
            return [alarm(f"{answer.sender} sent a room key that nobody waits for; it was dropped.")]
        try:
            given = unwrap(self.own, answer)
        except NotOpened:
            return [alarm(f"The room key that {answer.sender} sent was not wrapped for you; it was dropped.")]
        self.counters.learn(given.counters)
        return self.have_key(RoomKey(given.key, self.ciphers))

    def hear(self, message: Say) -> list[ClientEffect]:
        """Show what somebody said, under the name that the server wrote on it."""
        if message.to not in (None, self.name):
            return [alarm(f"A message for {message.to} came here; it was dropped.")]
        return self.open(message, "room" if message.to is None else "direct")

    def datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
        """Show a whisper from anyone in the roster, under the name that the datagram claims."""
        if message.sender not in self.roster:
            return [alarm(f"A whisper came from {message.sender}, who is not here; it was dropped.")]
        if message.to != self.name:
            return [alarm(f"A whisper for {message.to} came here; it was dropped.")]
        return self.open(message, "whisper")

    def say(self, text: str, to: str | None = None) -> list[ClientEffect]:
        """Speak to the room, or to one member through the server."""
        sealed = self.seal("room" if to is None else "direct", to, text)
        return [Send(sealed)] if sealed else [notice("You have no room key yet; that was not sent.")]

    def whisper(self, to: str, text: str) -> list[ClientEffect]:
        """Speak to one member directly: one datagram to the address in the roster."""
        if to not in self.roster:
            return [notice(f"{to} is not here; /who shows who is")]
        peer = self.roster[to]
        sealed = self.seal("whisper", to, text)
        if sealed is None:
            return [notice("You have no room key yet; that was not sent.")]
        return [Datagram(sealed, (peer.address, peer.udp_port))]

    def who(self) -> list[ClientEffect]:
        """Show the roster."""
        return [notice("here: " + ", ".join(f"{m.name} ({m.address})" for m in self.roster.values()))]

    def seal(self, kind: Kind, to: str | None, text: str) -> Say | Whisper | None:
        """Make a text ready for the wire: only holders of the room key can read it."""
        if self.room_key is None:
            return None
        return self.room_key.seal(kind, self.name, to, self.counters.next(kind), text)

    def open(self, message: Say | Whisper, kind: Kind) -> list[ClientEffect]:
        """Take a text from the wire, if a holder of the room key sealed exactly this."""
        try:
            if self.room_key is None or message.kind != kind:
                raise NotOpened
            text = self.room_key.open(message)
        except NotOpened:
            return self.not_opened(message.sender)
        missing = self.counters.accept(message.sender, kind, message.counter)
        if missing is None:
            return [alarm(f"An old message of {message.sender}'s came again; it was dropped.")]
        told = [notice(f"Messages of {message.sender}'s that are missing here: {missing}")] if missing else []
        return [*told, Show(kind, text, sender=message.sender)]

    def not_opened(self, sender: str) -> list[ClientEffect]:
        """Say that something was wrong, the 1st, 2nd, 4th, 8th … time for each sender."""
        count = self.failures[sender] = self.failures.get(sender, 0) + 1
        if count & (count - 1):
            return []
        if self.room_key is None:
            return [notice(f"Something of {sender}'s came before you had the room key; it cannot be shown.")]
        return [alarm(f"Something in {sender}'s name was not sealed with the room key; it was dropped.")]


if __name__ == "__main__":
    chat(__package__)
