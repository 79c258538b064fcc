"""The client: logs in, meets the others' keys, says and whispers in boxes, shows what it is told.

`python -m` with this module's full name runs it by hand; --help says how.
"""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from nacl.public import PrivateKey

from common.command_line import chat
from common.messages import Left, Refused, Undelivered
from common.session import Address, ClientEffect, Close, Datagram, Send, Show, alarm, notice

from .accounts import Login, Register
from .box import (
    ROOM,
    VERSION,
    Content,
    Joined,
    Kind,
    Member,
    NotOpened,
    Padding,
    Roster,
    Say,
    Sealer,
    Whisper,
    open_from,
    safety_number,
    seal_for,
)
from .counters import Counters
from .pins import Pins


class ClientSession:
    """One member's side of the conversation."""

    accepts: ClassVar[TypeAlias] = Roster | Joined | Left | Say | Undelivered | Refused
    whispers: ClassVar[TypeAlias] = Whisper

    def __init__(
        self,
        name: str,
        udp_port: int,
        password: str,
        *,
        register: bool,
        own: PrivateKey,
        pins: Pins,
        counters: Counters,
        sealer: Callable[[PrivateKey, bytes], Sealer],
        padding: Padding,
    ) -> None:
        self.name = name
        self.udp_port = udp_port
        self.password = password
        self.register = register
        self.roster: dict[str, Member] = {}
        self.own = own
        self.public_key = bytes(own.public_key)
        self.pins = pins
        self.counters = counters
        self.sealer = sealer
        self.padding = padding
        self.boxes: dict[bytes, Sealer] = {}
        self.failures: dict[str, int] = {}
        self.commands = {"/verify": self.verify, "/trust": self.trust, "/keys": self.keys}

    def connected(self) -> list[ClientEffect]:
        """Make an account or log in, and say where whispers are to be sent, and which key is ours."""
        enter = Register if self.register else Login
        message = enter(name=self.name, password=self.password, udp_port=self.udp_port, public_key=self.public_key)
        return [Send(message)]

    def disconnected(self) -> None:
        """The connection ended, and another will be made: who is there has to be learnt anew. Keys stay known."""
        self.roster.clear()

    def received(self, message: Roster | Joined | Left | Say | Undelivered | Refused) -> list[ClientEffect]:
        """Every message the server sends, and what the person sees of it."""
        match message:
            case Roster(members=members, more=more):
                self.register = False  # we are in, so there is an account: from now on we log in to it
                met = [effect for member in members for effect in self.meet(member)]
                return met if more else [*met, *self.who()]
            case Joined(name=name, address=address, udp_port=udp_port, public_key=key):
                member = Member(name=name, address=address, udp_port=udp_port, public_key=key)
                return [notice(f"{name} joined, from {address}"), *self.meet(member)]
            case Left(name=name):
                self.roster.pop(name, None)
                return [notice(f"{name} left")]
            case Say():
                return self.hear(message)
            case Undelivered(to=to):
                return [notice(f"{to} is not here; your message was not delivered")]
            case Refused(reason=reason):
                return [alarm(f"The server refused: {reason}"), Close()]

    def meet(self, member: Member) -> list[ClientEffect]:
        """Somebody is here, with a key that the server says is theirs. Another key than before stops a server that
        puts its own in between."""
        self.roster[member.name] = member
        if member.name == self.name:
            stolen = member.public_key != self.public_key
            return [alarm("The server shows the others another key in your name! Tell them.")] if stolen else []
        ours = member.public_key == self.public_key
        match "shared" if ours else self.pins.meet(member.name, member.public_key):
            case "first":
                return [notice(f"First contact with {member.name}. Their safety number with you:"), self.number(member)]
            case "changed":
                return [
                    alarm(
                        f"{member.name.upper()}'S KEY HAS CHANGED. Somebody may be in between. Nothing is sent to "
                        f"{member.name} or shown from them, until you have asked them, and typed /trust {member.name}"
                    )
                ]
            case "shared":
                return [alarm(f"{member.name} came with a key that is somebody else's. Nothing is sent to them.")]
            case _:
                return []

    def hear(self, message: Say) -> list[ClientEffect]:
        """Show what somebody said, under the name of the key that sealed it."""
        return self.open(message)

    def datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
        """Show a whisper, under the name of the key that sealed it."""
        return self.open(message)

    def say(self, text: str, to: str | None = None) -> list[ClientEffect]:
        """Speak to the room, in a box for each member, or to one member through the server."""
        if to is not None:
            return [Send(m) if isinstance(m, Say | Whisper) else m for m in self.seal("direct", to, text)]
        sealed = [one for name in self.roster if name != self.name for one in self.seal("room", name, text)]
        return [Send(one) if isinstance(one, Say | Whisper) else one for one in sealed]

    def whisper(self, to: str, text: str) -> list[ClientEffect]:
        """Speak to one member directly: one datagram to the address in the roster."""
        sealed = self.seal("whisper", to, text)
        if to not in self.roster:
            return [one for one in sealed if isinstance(one, Show)]
        at = (self.roster[to].address, self.roster[to].udp_port)
        return [Datagram(one, at) if isinstance(one, Say | Whisper) else one for one in sealed]

    def who(self) -> list[ClientEffect]:
        """Show the roster."""
        return [notice("here: " + ", ".join(f"{m.name} ({m.address})" for m in self.roster.values()))]

    def seal(self, kind: Kind, to: str, text: str) -> list[Say | Whisper | Show]:
        """Make a text ready for the wire: only its recipient can read it. Nothing is sealed for a key that is not
        the one we know."""
        peer = self.roster.get(to)
        if peer is None or to == self.name:
            return [notice(f"{to} is not here; /who shows who is")]
        if not self.pins.may_talk(to, peer.public_key):
            return [alarm(f"Not sent to {to}: {self.pins.why_not(to, peer.public_key)}")]
        counter = self.counters.next(peer.public_key, kind)
        content = Content(version=VERSION, kind=kind, room=ROOM, sender=self.name, to=to, counter=counter, text=text)
        try:
            return [seal_for(self.box(peer.public_key), self.padding, content)]
        except NotOpened:
            return [alarm(f"Not sent to {to}: their key is none.")]

    def open(self, message: Say | Whisper) -> list[ClientEffect]:
        """Take a text from the wire, if exactly this member sealed exactly this for us, and it is new."""
        peer = self.roster.get(message.sender)
        if peer is None or message.sender == self.name:
            return [alarm(f"Something came from {message.sender}, who is not here; it was dropped.")]
        if not self.pins.may_talk(peer.name, peer.public_key):
            return self.not_opened(peer.name, f"was not shown: {self.pins.why_not(peer.name, peer.public_key)}")
        try:
            if message.to != self.name:
                raise NotOpened
            content = open_from(self.box(peer.public_key), self.padding, message)
        except NotOpened:
            return self.not_opened(peer.name, "was not sealed by them for you as it says; it was dropped.")
        missing = self.counters.accept(peer.public_key, content.kind, content.counter)
        if missing is None:
            return [alarm(f"An old message of {peer.name}'s came again; it was dropped.")]
        told = [notice(f"Messages of {peer.name}'s that are missing here: {missing}")] if missing else []
        return [*told, Show(content.kind, content.text, sender=peer.name)]

    def box(self, key: bytes) -> Sealer:
        """What seals for this key; made once. Raises NotOpened for a key that is none."""
        if key not in self.boxes:
            self.boxes[key] = self.sealer(self.own, key)
        return self.boxes[key]

    def not_opened(self, sender: str, why: str) -> list[ClientEffect]:
        """Say that something was wrong, the 1st, 2nd, 4th, 8th … time for each sender."""
        count = self.failures[sender] = self.failures.get(sender, 0) + 1
        return [] if count & (count - 1) else [alarm(f"Something in {sender}'s name {why}")]

    def number(self, member: Member) -> Show:
        """The safety number that we and a member share, in a row of its own."""
        return notice(safety_number((self.name, self.public_key), (member.name, member.public_key)))

    def verify(self, words: str) -> list[ClientEffect]:
        """`/verify bob` shows the number to compare; `/verify bob same` says that it was compared, and is the same."""
        name, _, answer = words.partition(" ")
        member = self.roster.get(name)
        if member is None or name == self.name:
            return [notice("It goes: /verify NAME, of somebody who is here")]
        if answer.strip() != "same":
            ask = notice(f"Read it to each other, not over this chat. The same? Then: /verify {name} same")
            return [self.number(member), ask]
        if not self.pins.is_pinned(name, member.public_key):
            return [alarm(f"{name}'s key is not the one you know; first decide with /trust {name}")]
        self.pins.pin(name, member.public_key, verified=True)
        return [notice(f"{name}'s key is verified")]

    def trust(self, words: str) -> list[ClientEffect]:
        """`/trust bob`: take the key that bob has now, instead of the one we knew."""
        member = self.roster.get(words.strip())
        if member is None or member.name == self.name:
            return [notice("It goes: /trust NAME, of somebody who is here")]
        if self.pins.is_pinned(member.name, member.public_key):
            return [notice(f"{member.name}'s key is the one you know; /verify {member.name} compares it")]
        self.pins.pin(member.name, member.public_key)
        return [notice(f"{member.name}'s new key is taken. Their safety number with you:"), self.number(member)]

    def keys(self, words: str) -> list[ClientEffect]:
        """`/keys`: whose key is known, and was compared."""
        rows = [notice(f"Your own key: {self.public_key.hex()[:16]}…")]
        for name, pin in sorted(self.pins.known.items()):
            trusted = "verified" if pin.verified else "taken on trust"
            rows.append(notice(f"{name}'s key: {pin.key.hex()[:16]}…, {trusted}"))
        return [*rows]


if __name__ == "__main__":
    chat(__package__)
