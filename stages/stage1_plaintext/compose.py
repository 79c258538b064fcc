"""How the sessions are put together, and which levers there are."""

from pathlib import Path
from typing import Final

from common.levers import COMMON, Levers
from common.session import Person

from .client import ClientSession
from .server import Server

LEVERS: Final = COMMON
WANTS_PASSWORD: Final = False


def server(levers: Levers, folder: Path) -> Server:
    """A server; it keeps nothing, so it needs no folder."""
    return Server()


def client(levers: Levers, person: Person) -> ClientSession:
    """A member's client."""
    return ClientSession(person.name, person.udp_port)
