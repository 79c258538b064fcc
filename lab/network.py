"""Which network the lab runs on: the LAN where it can be had, else loopback, and why."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from common import loopback
from common.dns import PORT, NameServer
from common.errors import LabError
from common.hosts import DOMAIN
from common.lan import Lan, LanUnavailable
from common.loopback import Loopback

Choice = Literal["lan", "loopback", "auto"]
CHOICES: Final = ("lan", "loopback")

Network = Lan | Loopback


MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder of its own is made there, for this user only
"""Where a scene's files are kept, if it is there: writing "to the disk" takes no time, and all is thrown away."""
PREFIX: Final = "lab-net-"
NEW_SECONDS: Final = 10.0


def memory() -> str | None:
    """Where files that are thrown away are kept; None for the usual place."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


def build(choice: str, folder: Path | None = None) -> tuple[Network, str]:
    """The network that was asked for, and, where `auto` had to fall back, one sentence why. A LAN takes the folder away
    when this process ends, however it does.

    Raises LabError where it was asked for by name and cannot be had.
    """
    if choice == "loopback":
        return Loopback(), ""
    if choice not in ("lan", "auto"):
        raise LabError(f"NETWORK= is lan or loopback; {choice} is neither.")
    try:
        return Lan.build(sweep=folder), ""
    except LanUnavailable as why:
        if choice == "lan":
            raise
        return Loopback(), f"Running on the loopback network. {why}"


@contextlib.contextmanager
def thrown_away(prefix: str) -> Iterator[Path]:
    """A folder for what is thrown away, in memory where it can be. It is locked as long as this process lives; what one
    that was killed has left is thrown away by the next."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=memory(), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for other in folder.parent.glob(f"{prefix}*"):
                _sweep(other)
            yield folder
        finally:
            os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Take a folder away if it is nobody's any more, and not so new that its owner is just about to lock it."""
    with contextlib.suppress(OSError):  # another user's, one that is in use, or one that is gone by now
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > NEW_SECONDS:
                shutil.rmtree(folder)
        finally:
            os.close(descriptor)


@contextlib.asynccontextmanager
async def running(choice: str, asked: Callable[[str], None] = lambda line: None) -> AsyncIterator[tuple[Network, str]]:
    """The network with its name server, until the block ends.

    asked: is given a line for every query that the name server gets, as it comes.
    """
    with thrown_away(PREFIX) as folder:
        network, why = build(choice, folder)
        network.folder = folder
        network.zone = {f"{name}.{DOMAIN}": host.address for name, host in network.hosts.items()}
        names = NameServer(network.zone, asked)
        try:
            await names.start(network.hosts["dns"], PORT if isinstance(network, Lan) else loopback.DNS_PORT)
            yield network, why
        finally:
            names.close()
            network.close()
            await asyncio.sleep(0)
