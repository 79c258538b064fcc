"""A server in memory: sessions, and each one's post in the order in which it was sent. Slow work waits until told."""

from collections.abc import Callable
from typing import Any

from common.messages import Message, Refused
from common.session import Close, Send, Work


class Desk:
    """The server of some stage, and whoever is connected to it."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.post: dict[Any, list[Message | Close]] = {}
        self.waiting: list[Callable[[], None]] = []
        """Slow work that nobody has done yet, as the pool would do it."""

    def connect(self, address: str = "10.13.37.21") -> Any:
        """Somebody connects."""
        session = self.server.session(address)
        self.post[session] = []
        return session

    def hand(self, session: Any, message: Message) -> None:
        """A message arrives from this session; slow work that it asks for is left waiting."""
        self.deliver(session, session.received(message))

    def ask(self, session: Any, message: Message) -> None:
        """A message arrives from this session, and what it asks for is done."""
        self.hand(session, message)
        self.work()

    def work(self) -> None:
        """Do all the slow work that waits."""
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()

    def hang_up(self, session: Any) -> None:
        """The connection ends."""
        self.deliver(session, session.disconnected())

    def deliver(self, by: Any, effects: list[Any]) -> None:
        """Carry out what was answered, as the runtime does."""
        for effect in effects:
            match effect:
                case Send(message=message, to=recipients):
                    for recipient in recipients:
                        self.post[recipient].append(message)
                case Close(session=session):
                    closed = by if session is None else session
                    self.post[closed].append(Close())
                    self.deliver(closed, closed.disconnected())
                case Work(slow=slow, then=then):
                    self.waiting.append(lambda s=slow, t=then: self.deliver(by, t(s())))  # type: ignore[misc]

    def read(self, session: Any) -> list[Message | Close]:
        """What was sent to this session since it was last asked."""
        post, self.post[session] = self.post[session], []
        return post

    def refusal(self, session: Any) -> str:
        """The code of the one refusal that this session got, and after which it is closed."""
        refused, close = self.read(session)
        assert isinstance(refused, Refused)
        assert refused.reason.endswith(".")
        assert close == Close()
        return refused.code

    def read_all(self) -> None:
        """Everybody has read everything."""
        for session in self.post:
            self.read(session)


class Listening:
    """A way to store passwords, as they are, that also remembers them."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def hash(self, password: bytes) -> bytes:
        self.heard.append(password)
        return password

    def verify(self, stored: bytes, password: bytes) -> bool:
        self.heard.append(password)
        return stored == password
