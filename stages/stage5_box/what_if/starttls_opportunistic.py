"""`starttls=opportunistic`: a client tries TLS, and goes on in the clear where that fails.

Why it is wrong: whoever is in between can make it fail. Encryption that is only used where nobody objects is no use
against whoever would object. (Mail between servers was long sent so: RFC 3207, section 6, and RFC 8461.)
"""

import socket

from common.client import Client
from common.errors import LabError


class OpportunisticClient(Client):
    """Stands where `Client` stands."""

    async def connect(self, sock: socket.socket) -> None:
        try:
            await super().connect(sock)
        except LabError:
            self.tls = None
            await super().connect(await self.dial())
