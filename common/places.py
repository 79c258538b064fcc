"""Who may be connected to a server: so many at once, so many from one address; and who gives way when all is taken.

What a place is worth is the time in which somebody joins: whoever has joined keeps it. A connection that says nothing
holds one too, until its time is over, and two machines could so take all that there are. So when all are taken,
somebody from an address that waits with few gets the place of the one that waits longest at the address that waits
with most. Who comes from as many addresses as there are places is not stopped by this, nor by anything that counts.
"""

from collections import Counter
from typing import Protocol

from common.limits import Limits


class Holder(Protocol):
    """A connection, seen from here."""

    address: str

    @property
    def outside(self) -> bool:
        """Has nobody joined on it yet?"""

    def give_way(self) -> None:
        """Its place is somebody else's now."""


class Places:
    """The places of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.holders: dict[Holder, None] = {}
        """Who has a place, the longest there first."""
        self.there: Counter[str] = Counter()
        """How many of them each address has."""

    def enter(self, holder: Holder) -> str:
        """Take a place. Returns why there is none; nothing where there is."""
        limits = self.limits
        if self.there[holder.address] >= limits.connections_per_address:
            return f"This server takes {limits.connections_per_address} connections from one address; try later."
        full = len(self.holders) >= limits.connections
        if full and not (limits.gives_way and self._somebody_gives_way(holder.address)):
            return f"This server takes {limits.connections} connections, and has them; try later."
        self.holders[holder] = None
        self.there[holder.address] += 1
        return ""

    def leave(self, holder: Holder) -> None:
        """Give the place back, if it has one."""
        if holder not in self.holders:
            return
        del self.holders[holder]
        self.there[holder.address] -= 1
        if not self.there[holder.address]:
            del self.there[holder.address]

    def _somebody_gives_way(self, address: str) -> bool:
        """For one from this address, unless that only turned the two around."""
        outside: dict[str, list[Holder]] = {}
        for holder in self.holders:
            if holder.outside:
                outside.setdefault(holder.address, []).append(holder)
        most = max(outside.values(), key=len, default=[])
        if len(most) <= len(outside.get(address, ())) + 1:
            return False
        self.leave(most[0])
        most[0].give_way()
        return True
