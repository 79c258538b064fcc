"""Clients and their server around one table, in memory: what each sends, is shown, and what a bad server does."""

import itertools
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey

from common.commands import typed
from common.messages import Message
from common.session import Close, Datagram, Send, Show
from common.wire import decoder, encode
from stages.stage5_box.accounts import Accounts
from stages.stage5_box.box import Joined, NoPadding, Padding, PeerBox, Say, Whisper, identity
from stages.stage5_box.client import ClientSession
from stages.stage5_box.counters import Counters
from stages.stage5_box.pins import Pins
from stages.stage5_box.server import Server
from stages.stage5_box.what_if.password_hash import Plaintext
from tests.desk import Desk


class Seat:
    """One client: its session here, and its connection at the server."""

    def __init__(self, client: ClientSession, connection: Any) -> None:
        self.client = client
        self.connection = connection
        self.shown: list[Show] = []
        self.sent: list[Message] = []
        """Every message it sent, to the server or as a datagram."""

    def texts(self) -> list[str]:
        """What was shown since this was last asked."""
        shown, self.shown = self.shown, []
        return [f"{show.kind} {show.sender}: {show.text}" if show.sender else show.text for show in shown]

    def boxes(self) -> list[Any]:
        """The boxes it sent since this was last asked."""
        sent, self.sent = self.sent, []
        return [message for message in sent if isinstance(message, Say | Whisper)]


class Table:
    """The server and the seats; what `withheld` names is thrown away on its way to a member."""

    def __init__(self, folder: Path, pins: type[Pins] = Pins) -> None:
        self.folder = folder
        self.pins = pins
        self.desk = Desk(Server(Accounts(folder / "accounts.sqlite", Plaintext())))
        self.seats: dict[str, Seat] = {}
        self.ports = itertools.count(4001)
        self.withheld: set[str] = set()

    def sit(self, name: str, padding: Padding | None = None) -> Seat:
        """Somebody starts their client, for the first time or again, and comes in."""
        folder = self.folder / name
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        own = identity(folder / "identity")
        client = ClientSession(
            name,
            next(self.ports),
            "sesame",
            register=new,
            own=own,
            pins=self.pins(folder / "pins.json"),
            counters=Counters(folder, bytes(own.public_key)),
            sealer=PeerBox,
            padding=padding or NoPadding(),
        )
        seat = self.seats[name] = Seat(client, self.desk.connect())
        self.perform(name, client.connected())
        self.settle()
        return seat

    def goes(self, name: str) -> None:
        """Somebody's connection ends."""
        self.desk.hang_up(self.seats.pop(name).connection)
        self.settle()

    def types(self, name: str, line: str) -> None:
        """Somebody types a line, and everything that follows from it happens."""
        self.perform(name, typed(self.seats[name].client, line))
        self.settle()

    def gets(self, name: str, message: Any) -> list[str]:
        """The server, or anybody over UDP, gives somebody this; what they are shown."""
        seat = self.seats[name]
        seat.shown.clear()
        client = seat.client
        whispered = isinstance(message, Whisper)
        self.perform(name, client.datagram(message, ("10.13.37.99", 1)) if whispered else client.received(message))
        return seat.texts()

    def settle(self) -> None:
        """Deliver everything, until nothing is left."""
        while [name for name in list(self.seats) if self.deliver(name)]:
            pass

    def deliver(self, name: str) -> bool:
        """Deliver what waits for one client; was there anything?"""
        seat = self.seats[name]
        post = self.desk.read(seat.connection)
        for message in post:
            if not (isinstance(message, Close) or (isinstance(message, Say) and name in self.withheld)):
                as_read = decoder(seat.client.accepts).decode(encode(message).rstrip(b"\n"))
                self.perform(name, seat.client.received(as_read))
        return bool(post)

    def perform(self, name: str, effects: list[Any]) -> None:
        """Carry out what a client answered, as the runtime does."""
        seat = self.seats[name]
        for effect in effects:
            match effect:
                case Send(message=message):
                    seat.sent.append(message)
                    self.desk.ask(seat.connection, message)
                case Datagram(message=message, to=(_, port)):
                    seat.sent.append(message)
                    to = next(name for name, other in self.seats.items() if other.client.udp_port == port)
                    self.perform(to, self.seats[to].client.datagram(message, ("10.13.37.99", 1)))  # type: ignore[arg-type]
                case Show():
                    seat.shown.append(effect)


def joined(name: str, key: bytes, port: int = 4999) -> Joined:
    """The server says that somebody came with this key."""
    return Joined(name=name, address="10.13.37.66", udp_port=port, public_key=key)


def fresh() -> bytes:
    """A public key that nobody has."""
    return bytes(PrivateKey.generate().public_key)
