"""Clients and their server around one table, in memory: what each sends, is shown, and waits for."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.commands import typed
from common.messages import Message
from common.session import Close, Datagram, Later, Send, Show
from stages.stage3_symmetric.accounts import Accounts
from stages.stage3_symmetric.client import ClientSession
from stages.stage3_symmetric.counters import Counters
from stages.stage3_symmetric.room_key import Ciphers
from stages.stage3_symmetric.server import Server
from stages.stage3_symmetric.what_if.password_hash import Plaintext
from tests.desk import Desk


class Seat:
    """One client: its session here, and its connection at the server."""

    def __init__(self, client: ClientSession, connection: Any) -> None:
        self.client = client
        self.connection = connection
        self.shown: list[Show] = []
        self.timers: list[Later] = []
        self.asleep = False
        """Nothing that comes for this client is read."""

    def texts(self) -> list[str]:
        """What was shown since this was last asked."""
        shown, self.shown = self.shown, []
        return [f"{show.sender}: {show.text}" if show.sender else show.text for show in shown]


class Table:
    """The server and the seats; `log` is every message in the order in which it was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.desk = Desk(Server(Accounts(folder / "accounts.sqlite", Plaintext())))
        self.seats: dict[str, Seat] = {}
        self.ports = itertools.count(4001)
        self.log: list[tuple[str, Message]] = []

    def sit(
        self,
        name: str,
        counters: type[Counters] = Counters,
        *,
        settle: bool = True,
        made: Callable[..., ClientSession] = ClientSession,
    ) -> Seat:
        """Somebody starts their client, for the first time or again, and comes in."""
        folder, port = self.folder / name, next(self.ports)
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        client = made(name, port, "sesame", register=new, ciphers=Ciphers(), counters=counters(folder))
        seat = self.seats[name] = Seat(client, self.desk.connect())
        self.perform(name, client.connected())
        if settle:
            self.settle()
        return seat

    def types(self, name: str, line: str) -> None:
        """Somebody types a line, and everything that follows from it happens."""
        self.perform(name, typed(self.seats[name].client, line))
        self.settle()

    def goes(self, name: str) -> None:
        """Somebody's connection ends."""
        self.desk.hang_up(self.seats.pop(name).connection)
        self.settle()

    def times_out(self, name: str) -> None:
        """The time passes for which somebody's client waited longest."""
        self.perform(name, self.seats[name].timers.pop(0).then())
        self.settle()

    def settle(self) -> None:
        """Deliver everything, until nothing is left."""
        while [name for name in list(self.seats) if self.deliver(name)]:
            pass

    def deliver(self, name: str) -> bool:
        """Deliver what waits for one client; was there anything?"""
        seat = self.seats[name]
        post = [] if seat.asleep else self.desk.read(seat.connection)
        for message in post:
            if not isinstance(message, Close):
                self.log.append((f"server → {name}", message))
                self.perform(name, seat.client.received(message))  # type: ignore[arg-type]
        return bool(post)

    def perform(self, name: str, effects: list[Any]) -> None:
        """Carry out what a client answered, as the runtime does."""
        seat = self.seats[name]
        for effect in effects:
            match effect:
                case Send(message=message):
                    self.log.append((f"{name} → server", message))
                    self.desk.ask(seat.connection, message)
                case Datagram(message=message, to=(_, port)):
                    to = next(seat.client.name for seat in self.seats.values() if seat.client.udp_port == port)
                    self.log.append((f"{name} → {to}", message))
                    self.perform(to, self.seats[to].client.datagram(message, ("10.13.37.99", 1)))  # type: ignore[arg-type]
                case Later():
                    seat.timers.append(effect)
                case Show():
                    seat.shown.append(effect)
