"""`sender=from-message`: the server passes on the name that a message claims.

Why it is wrong: the server knows who is speaking, because it asked for a password; the message only says so.
"""

from ..server import Relayed, Server, ServerSession


class TrustingSession(ServerSession):
    """Stands where `ServerSession` stands."""

    def attribute(self, message: Relayed) -> Relayed:
        return message


class TrustingServer(Server):
    """Stands where `Server` stands."""

    def session(self, address: str) -> TrustingSession:
        return TrustingSession(self.room, self.accounts, address)
