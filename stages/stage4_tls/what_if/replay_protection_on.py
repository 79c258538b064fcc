"""`replay_protection=on`: counters are checked; what is not new is refused, and what is missing is told.

A remedy, not a weakness. Through the server messages stay in order, so a counter must be above the last; where one of
the room's skips some, somebody has kept them from us. Whispers go over UDP, which reorders, so the last 64 are
remembered (RFC 6479 and RFC 4303, section 3.4.3). What is withheld for good is never told: no later counter comes.
"""

from typing import Final

from ..counters import Counters
from ..room_key import Counter, Kind

WINDOW: Final = 64


class CheckedCounters(Counters):
    """Stands where `Counters` stands."""

    def accept(self, sender: str, kind: Kind, counter: Counter) -> int | None:
        """See `Counters`. Call it only after the message was authenticated."""
        at = f"{sender} {kind}"
        last = self.seen.get(at)
        if last is None or counter > last:
            self.seen[at] = counter
            self.windows[at] = self._shifted(at, last, counter) | 1
            return self._skipped(kind, last, counter)
        behind = last[1] - counter[1]
        if kind != "whisper" or counter[0] != last[0] or behind >= WINDOW or self.windows.get(at, ~0) >> behind & 1:
            return None
        self.windows[at] |= 1 << behind
        return 0

    def _skipped(self, kind: Kind, last: Counter | None, counter: Counter) -> int:
        """How many room messages came before this one in its session, and never here.

        What goes to one member alone cannot tell: the sender counts all of it together, whomever it is for.
        """
        if kind != "room":
            return 0
        return counter[1] - (last[1] + 1 if last and last[0] == counter[0] else 0)

    def _shifted(self, at: str, last: Counter | None, counter: Counter) -> int:
        """The window of what was seen, moved up to a new highest counter."""
        if last is None or counter[0] != last[0] or counter[1] - last[1] >= WINDOW:
            return 0  # without the last: whoever skips far would have us shift by as much, and run out of memory
        return self.windows.get(at, ~0) << (counter[1] - last[1]) & (1 << WINDOW) - 1
