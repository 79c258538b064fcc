"""The operator's console: what whoever runs a server by hand can type there.

/who             who is in the room
/remove NAME     end a member's session, and take the account away where there is one
"""

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from common.errors import LabError
from common.room import Room
from common.session import Server, ServerEffect
from common.text import NAME_PATTERN, NAME_RULE, printable

HELP: Final = "Here you can type: /who, /remove NAME."


class Operated(Server, Protocol):
    """A server with a room: every stage's is one."""

    room: Room[Any]


def typed(server: Operated, line: str) -> tuple[list[ServerEffect], str]:
    """One line that the operator typed: what is to be done, and what to answer."""
    match line.split():
        case []:
            return [], ""
        case ["/who"]:
            members = [f"{m.name} ({m.address})" for page in server.room.roster() for m in page.members]
            return [], "here: " + (", ".join(members) or "nobody")
        case ["/remove", name] if re.match(NAME_PATTERN, name):
            try:
                return server.remove(name), f"{name} is not here any more."
            except LabError as error:  # the accounts cannot be changed just now
                return [], str(error)
        case ["/remove", name]:
            return [], f"{printable(name)} is no name: names are {NAME_RULE}."
        case _:
            return [], HELP


def is_of_tls(about: "sys.UnraisableHookArgs") -> bool:
    """Is this the traceback that Python prints where a stranger asks TLS for a server's name that is not ASCII? `ssl`
    has refused that already."""
    return about.exc_type is UnicodeDecodeError and isinstance(about.object, bytes)


def complain(about: "sys.UnraisableHookArgs") -> None:
    """What Python cannot raise it prints, but for what any stranger could fill the operator's screen with."""
    if not is_of_tls(about):
        sys.__unraisablehook__(about)


def listen(take: Callable[[str], None]) -> None:
    """Hand over every line from standard input, in a thread of its own, for as long as there are any.

    A server in the background (`server &`) must not be stopped because it reads from the terminal: without SIGTTIN
    it gets an error instead, and then there is no console.
    """
    if sys.stdin is None:  # started with its standard input closed
        return
    if sys.stdin.isatty():
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)

    def read() -> None:
        # Unbuffered: a thread that waits inside sys.stdin holds its lock, and Python could not end meanwhile.
        # A RuntimeError says that the event loop is closed: the server has ended.
        with contextlib.suppress(OSError, RuntimeError), open(0, "rb", buffering=0, closefd=False) as keyboard:
            for line in keyboard:
                take(line.decode(errors="replace"))

    threading.Thread(target=read, daemon=True).start()
