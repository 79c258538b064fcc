"""A server, Alice and Bob in memory: the stage's own sessions, and between them the bytes that would cross the wire.

No socket, no clock, no disk but a folder of its own: an intruder's connection costs microseconds, and after each the
two can be asked whether they still understand one another.
"""

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unicodedata import category

from common import terminal
from common.errors import LabError
from common.levers import Levers
from common.messages import Refused
from common.session import Close, Datagram, Person, Send, Show, Work
from common.text import skeleton
from common.wire import LineReader, WireError, decoder, encode, encode_datagram
from stages import Stage
from tests.fuzz.cases import pieces

LONGEST_SENTENCE = 600
"""Characters of what somebody is told, at most."""


class Ledger:
    """Accounts in memory: hashing and the database are other targets, and take a thousand times longer."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}

    def register(self, name: str, password: str) -> bool:
        """Make an account, where no name that looks like it has one."""
        free = skeleton(name) not in map(skeleton, self.passwords)
        if free:
            self.passwords[name] = password
        return free

    def verify(self, name: str, password: str) -> bool:
        """Is this the password?"""
        return self.passwords.get(name) == password

    def has(self, name: str) -> bool:
        """Is there such an account?"""
        return name in self.passwords

    def remove(self, name: str) -> bool:
        """Take an account away."""
        return self.passwords.pop(name, None) is not None


class Connection:
    """One TCP connection's server end, and at the other end a client's session, or nobody who looks."""

    def __init__(self, house: "House", client: Any = None) -> None:
        self.house, self.client = house, client
        self.session = house.server.session("127.0.0.1")
        self.reader = LineReader()
        self.open = True
        self.told: list[bytes] = []
        self.shown: list[Show] = []
        house.connections[self.session] = self

    def feed(self, data: bytes) -> None:
        """Bytes arrive, and what they bring about is carried out to the end. As the runtime does it."""
        try:
            for line in self.reader.feed(data):
                if not self.open:
                    return
                self.house.perform(self, self.session.received(decoder(self.session.accepts).decode(line)))
        except WireError as error:
            self.refuse(error)

    def refuse(self, error: WireError) -> None:
        """Say why, and end."""
        if self.open:
            self.house.perform(self, [Send(Refused(code=error.code, reason=error.reason), [self.session]), Close()])

    def end(self) -> None:
        """The stream ends."""
        if self.open:
            try:
                self.reader.end()
            except WireError as error:
                self.refuse(error)
            self.leave()

    def leave(self) -> None:
        """The session ends, once."""
        if self.open:
            self.open = False
            self.house.perform(self, self.session.disconnected())
            del self.house.connections[self.session]


class House:
    """One room of a stage, with Alice and Bob in it."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.server: Any = stage.server(Levers({}, stage.levers), folder)
        self.ledger = Ledger()
        if hasattr(self.server, "accounts"):
            self.server.accounts = self.ledger
        self.connections: dict[Any, Connection] = {}
        self.queue: deque[tuple[Connection, bytes]] = deque()
        self.alice, self.bob = (self.member(name, folder / name) for name in ("alice", "bob"))
        self.ledger.passwords["mallory"] = "sesame"
        self.said = 0
        self.still_chats()

    def member(self, name: str, folder: Path) -> Connection:
        """Somebody honest comes in."""
        folder.mkdir(exist_ok=True)
        person = Person(name, 4000, password=f"of {name}", register=True, folder=folder)
        connection = Connection(self, self.stage.client(Levers({}, self.stage.levers), person))
        self.act(connection, connection.client.connected())
        return connection

    def perform(self, by: Connection, effects: Iterable[Any]) -> None:
        """Carry out what a server's session answered."""
        for effect in effects:
            match effect:
                case Send(message=message, to=to):
                    line = encode(message)
                    self.queue.extend((self.connections[session], line) for session in to)
                case Close(session=session):
                    closing = self.connections.get(session) if session else by
                    if closing:
                        closing.leave()
                case Work(slow=slow, then=then):
                    self.perform(by, then(slow()))
        while self.queue:
            self.deliver(*self.queue.popleft())

    def deliver(self, connection: Connection, line: bytes) -> None:
        """What the server sent arrives."""
        connection.told.append(line)
        if connection.client and connection.open:
            self.act(connection, connection.client.received(decoder(connection.client.accepts).decode(line[:-1])))

    def act(self, connection: Connection, effects: Iterable[Any]) -> None:
        """Carry out what an honest member's session answered."""
        for effect in effects:
            match effect:
                case Send(message=message):
                    connection.feed(encode(message))
                case Show():
                    connection.shown.append(effect)
                case Datagram(message=message):
                    other = self.bob if connection is self.alice else self.alice
                    heard = decoder(other.client.whispers).decode(encode_datagram(message))
                    self.act(other, other.client.datagram(heard, ("127.0.0.1", 4000)))

    def still_chats(self) -> None:
        """Alice and Bob understand one another, through the server and past it, and were shown nothing improper."""
        for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
            whisper = partial(speaker.client.whisper, name_of(listener))
            for say in (speaker.client.say, whisper):
                self.said += 1
                text = f"still here {self.said}"
                self.act(speaker, say(text))
                assert listener.shown[-1].text == text, f"{name_of(listener)} was shown {listener.shown[-1]}"
                assert listener.shown[-1].sender == name_of(speaker)
            assert speaker.open
        for member in (self.alice, self.bob):
            assert all(proper(show) for show in member.shown)
            member.shown, member.told = [], []

    def as_before(self) -> None:
        """Nothing of an intruder is left: neither a session, nor a name, nor a page of the roster."""
        room = self.server.room
        assert set(self.connections) == {self.alice.session, self.bob.session}
        assert [sorted(room._sessions), sorted(room._page_of)] == [["alice", "bob"]] * 2
        assert len(room._skeletons) == 2
        assert len(room._everyone) <= 4
        assert len(room._pages) <= 2
        for name in set(self.ledger.passwords) - {"alice", "bob", "mallory"}:
            del self.ledger.passwords[name]


def name_of(connection: Connection) -> str:
    """Whose it is."""
    return str(connection.client.name)


def proper(show: Show) -> bool:
    """Rows that a terminal can be given: no control character, each beginning as one that nobody can forge."""
    rows = terminal.rows(show, 80)
    starts = {"notice": "* ", "alarm": "! "}.get(show.kind, show.sender)
    kinds = {category(character) for row in rows for character in row}
    return rows[0].startswith(starts) and not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def told_properly(lines: list[bytes]) -> str | None:
    """How it ended for whoever was told these lines: the code of the refusal, which is the last of them, a sentence."""
    codes = []
    for line in lines:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        if b'"type":"refused"' in line:
            refused = decoder(Refused).decode(line)
            codes.append(refused.code)
            assert refused.reason.endswith("."), refused.reason
            assert len(refused.reason) <= LONGEST_SENTENCE
    assert len(codes) <= 1
    assert not codes or b'"type":"refused"' in lines[-1]
    return codes[0] if codes else None


def attack(house: House, data: bytes, rng: Random) -> None:
    """An intruder sends these bytes, whole and then in pieces: the same comes of it, and nobody else is harmed."""
    outcomes = []
    for parts in ([data], pieces(data, rng)):
        intruder = Connection(house)
        for part in parts:
            intruder.feed(part)
        intruder.end()
        outcomes.append((told_properly(intruder.told), len(intruder.told), len(house.bob.told)))
        house.still_chats()
        house.as_before()
    assert outcomes[0] == outcomes[1], f"whole {outcomes[0]}, in pieces {outcomes[1]}"


@contextlib.contextmanager
def only_sentences() -> Iterator[None]:
    """What is refused is refused in one sentence; any other error is a fault of ours."""
    try:
        yield
    except (LabError, WireError) as error:
        sentence = str(error)
        assert sentence.strip()
        assert "Traceback" not in sentence
