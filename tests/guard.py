"""A guard at the door: while it stands, this process reaches nothing beyond 127.0.0.0/8, and whoever tries is named.

    python -m tests.guard stage-1 attack --network loopback      the command `lab`, guarded

Python tells its audit hooks of every connection, datagram and look-up of a name before anything is done (PEP 578), so
what is refused here has sent nothing. The hook cannot be taken away again; `standing` switches it.
"""

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any, Final

_state: Final[dict[str, Any]] = {"stands": False, "installed": False}


class Escaped(BaseException):
    """Something wanted to leave the machine. No `except Exception` of the code that is watched can hide it."""


def inside(host: Any) -> bool:
    """Is this an address of 127.0.0.0/8, written out, or of no network at all?"""
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's audit events of the module `socket`, and of whatever opens an address or starts a program by itself."""
    if not _state["stands"]:
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = arguments
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or address is None:
            return
        if not inside(address[0]):
            raise Escaped(f"{event} to {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        if arguments[0] is not None and not inside(arguments[0]):
            raise Escaped(f"{event} of {arguments[0]!r}")
    elif event in ("urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"):
        raise Escaped(f"{event} {arguments}")


@contextlib.contextmanager
def standing() -> Iterator[None]:
    """Nothing leaves until the block ends. Raises Escaped where something would."""
    if not _state["installed"]:
        sys.addaudithook(watch)
        _state["installed"] = True
    _state["stands"] = True
    try:
        yield
    finally:
        _state["stands"] = False


if __name__ == "__main__":
    from lab.cli import run

    with standing():
        sys.exit(run(sys.argv[1:]))
