"""Which network the lab runs on: the LAN where it can be had, else loopback, and why."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
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


def build(choice: str) -> tuple[Network, str]:
    """The network that was asked for, and, where `auto` had to fall back, one sentence why.

    Raises LabError where it was asked for by name and cannot be had.
    """
    if choice == "loopback":
        return Loopback(), ""
    if choice not in ("lan", "auto"):
        raise LabError(f"NETWORK= is lan or loopback; {choice} is neither.")
    try:
        return Lan.build(), ""
    except LanUnavailable as why:
        if choice == "lan":
            raise
        return Loopback(), f"Running on the loopback network. {why}"


@contextlib.asynccontextmanager
async def running(choice: str, asked: Callable[[str], None] = lambda line: None) -> AsyncIterator[tuple[Network, str]]:
    """The network with its name server, until the block ends.

    asked: is given a line for every query that the name server gets, as it comes.
    """
    network, why = build(choice)
    network.zone = {f"{name}.{DOMAIN}": host.address for name, host in network.hosts.items()}
    names = NameServer(network.zone, asked)
    try:
        await names.start(network.hosts["dns"], PORT if isinstance(network, Lan) else loopback.DNS_PORT)
        yield network, why
    finally:
        names.close()
        network.close()
        await asyncio.sleep(0)
