"""A stage's own server, with an observer behind every session: what a thief's recording and a taken server share."""

from abc import ABC, abstractmethod
from typing import Any

from common.messages import Message
from common.session import Server, ServerEffect, ServerSession, Work


class ObservedServer(ABC):
    """Runs as the server does; `observe` sees what each message brings about, and may change it."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @abstractmethod
    def observe(self, session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        """What is done in place of these effects of a message."""

    def session(self, address: str) -> ServerSession:
        """The stage's own session, with the observer between it and the runtime."""
        session = self.server.session(address)
        honest = session.received
        # On the one session, not its class: whoever looks at the session must find the stage's own.
        session.received = lambda message: self._observed(session, message, honest(message))  # type: ignore[method-assign]
        return session

    def remove(self, name: str) -> list[ServerEffect]:
        """The operator takes a member's place away."""
        return self.server.remove(name)

    def _observed(self, session: ServerSession, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        """Where slow work comes first, what its result brings is observed."""
        if any(isinstance(effect, Work) for effect in effects):
            return [self._after(session, message, e) if isinstance(e, Work) else e for e in effects]
        return self.observe(session, message, effects)

    def _after(self, session: ServerSession, message: Message, work: Work) -> Work:
        return Work(work.slow, lambda result: self._observed(session, message, work.then(result)))
