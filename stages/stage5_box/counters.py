"""Counters: every message says which one it is, so that whoever receives it can tell an old one from a new one.

A counter is (session, n), for each pair of keys and kind. The session number is written to disk once per start, before
anything is sent, so that no message waits for the disk and no two messages to one peer ever have the same counter.

A receiver writes down what it accepted before it shows it, so that nothing is shown twice, even after a restart.
Through the server messages stay in order, so a counter must be above the last, and where one skips some, somebody has
kept them from us. Whispers go over UDP, which reorders, so the last 64 are remembered (RFC 6479; RFC 4303, section
3.4.3). What is withheld for good is never told: no later counter comes.
"""

from pathlib import Path
from typing import Final

import msgspec

from common.errors import LabError
from common.files import read_checked, write_checked

from .box import Counter, Kind

WINDOW: Final = 64


class Counters:
    """The counters of what one member sends, and the last ones that others sent."""

    def __init__(self, folder: Path, own: bytes) -> None:
        self.own = own
        self.session = next_session(folder / "session")
        self.file = folder / "seen.json"
        self.sent: dict[str, int] = {}
        self.seen: dict[str, tuple[Counter, int]] = self._load()
        """For our own key, the peer's and a kind: the highest counter, and which of the 64 up to it have come (bit 0:
        it). Under a new key of our own every peer begins again at 0, and no box made for the old one opens."""

    def next(self, peer: bytes, kind: Kind) -> Counter:
        """The counter of the next message of this kind to this peer."""
        at = f"{peer.hex()} {kind}"
        n = self.sent.get(at, 0)
        self.sent[at] = n + 1
        return (self.session, n)

    def accept(self, peer: bytes, kind: Kind, counter: Counter) -> int | None:
        """How many messages are missing before this one; None where it is not new, and may not be shown.

        Call it only after the message was authenticated.
        """
        at = f"{self.own.hex()} {peer.hex()} {kind}"
        last, window = self.seen.get(at, ((0, -1), 0))
        if counter > last:
            same = counter[0] == last[0]
            skipped = counter[1] - last[1] - 1 if same else counter[1]
            shifted = window << (counter[1] - last[1]) & (1 << WINDOW) - 1 if same and skipped < WINDOW else 0
            self._record(at, counter, shifted | 1)
            return 0 if kind == "whisper" else skipped
        behind = last[1] - counter[1]
        if kind != "whisper" or counter[0] != last[0] or behind >= WINDOW or window >> behind & 1:
            return None
        self._record(at, last, window | 1 << behind)
        return 0

    def _record(self, at: str, last: Counter, window: int) -> None:
        self.seen[at] = (last, window)
        write_checked(self.file, msgspec.json.encode(self.seen))

    def _load(self) -> dict[str, tuple[Counter, int]]:
        try:
            return msgspec.json.decode(read_checked(self.file), type=dict[str, tuple[Counter, int]])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's own are ValueErrors
            raise LabError(
                f"{self.file} is damaged ({error}); move it away: old messages may be shown again."
            ) from None


def next_session(file: Path) -> int:
    """Count one start more, on the disk, and return which it is. Raises LabError where the file cannot be used."""
    try:
        last = int(read_checked(file)) if file.exists() else 0
        if not 0 <= last < 2**53 - 1:
            raise ValueError(f"{last} is no number of a session")
    except (OSError, ValueError) as error:
        raise LabError(f"{file} is damaged ({error}); move it away and start again.") from None
    write_checked(file, str(last + 1).encode(), lasting=True)
    return last + 1
