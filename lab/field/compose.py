"""How client and server are put together in the field, and which levers there are."""

import ssl
from pathlib import Path
from typing import Final

from common.levers import Lever, Levers
from common.session import Person
from lab.field import irc
from lab.field.ngircd import Ngircd
from stages.stage4_tls import tls
from stages.stage4_tls.what_if import verify

LEVERS: Final = (
    Lever("transport", ("tcp", "tls"), "what IRC runs in"),
    Lever("verify", ("full", "none"), "what a client looks at in the server's certificate"),
    Lever("access", ("open", "password"), "does the server ask everybody for a password?"),
    Lever("alice", ("stays", "leaves-early"), "is Alice still there when somebody tries to take her nick?"),
)
WANTS_PASSWORD: Final = True


def server(levers: Levers, folder: Path) -> Ngircd:
    """A server that keeps its configuration in this folder."""
    return Ngircd(levers, folder)


def client(levers: Levers, person: Person) -> irc.Session:
    """A member's session; the operator's password is sent when somebody types /oper."""
    return irc.Session(person.name, person.password, person.passphrase if wants_passphrase(levers) else "")


def wants_passphrase(levers: Levers) -> bool:
    """Were all members told a password of the server's?"""
    return levers["access"] == "password"


def client_tls(levers: Levers, person: Person) -> ssl.SSLContext | None:
    """What a client accepts: what one of stage 4 does."""
    if levers["transport"] == "tcp":
        return None
    context = tls.client_context((person.folder or Path()).parent / "ca" / "ca.pem")
    if levers["verify"] == "none":
        verify.WAYS["none"](context)
    return context


def client_program(levers: Levers) -> type[irc.Client]:
    """What makes a client's connections."""
    return irc.Client
