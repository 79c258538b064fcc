"""Counters: every message says which one it is, so that whoever checks can tell an old one from a new one.

A counter is (session, n). The session number is written to disk once per start, before anything is sent, so that no
message waits for the disk and no two messages of one sender ever have the same counter. Here it is only sent, not
checked: whoever records a message can have it shown again.
"""

from pathlib import Path

from common.errors import LabError
from common.files import read_checked, write_checked

from .room_key import Counter, Kind

TOLD = 512
"""How many counters a newcomer is told at most, so that a grant always fits a line."""


class Counters:
    """The counters of what one member sends, and the last ones that others sent."""

    def __init__(self, folder: Path) -> None:
        self.session = next_session(folder / "session")
        self.sent: dict[str, int] = {}
        self.seen: dict[str, Counter] = {}
        self.windows: dict[str, int] = {}

    def next(self, kind: Kind) -> Counter:
        """The counter of the next message of this kind."""
        n = self.sent.get(kind, 0)
        self.sent[kind] = n + 1
        return (self.session, n)

    def accept(self, sender: str, kind: Kind, counter: Counter) -> int | None:
        """How many messages are missing before this one; None where it is not new, and may not be shown.

        Nothing is checked here: everything may be shown, and nothing is missed.
        """
        self.seen[f"{sender} {kind}"] = max(counter, self.seen.get(f"{sender} {kind}", counter))
        return 0

    def known(self, name: str) -> dict[str, Counter]:
        """The last counter of each sender and kind, for a newcomer; our own (we are `name`) are among them."""
        own = {f"{name} {kind}": (self.session, sent - 1) for kind, sent in self.sent.items()}
        return dict(list({**self.seen, **own}.items())[-TOLD:])

    def learn(self, seen: dict[str, Counter]) -> None:
        """A newcomer is told the counters of what was said before."""
        for at, counter in seen.items():  # never back: whoever tells us may have heard less than we
            self.seen[at] = max(counter, self.seen.get(at, counter))


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
