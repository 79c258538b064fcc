"""What is said to a room in one turn of the event loop, until it is handed out: joined once for all.

Messages in a row that go to the same members are a run, which is encoded in one go; whoever hears all the runs is given
the same bytes as everybody else. Only for a member who is not to have all of it, having said a part or come in between,
the rest is joined again.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

from common.messages import Message
from common.room import Everyone, Others
from common.wire import encode_lines

S = TypeVar("S")


class Turn(Generic[S]):
    """What goes to the members of one room, and is not in their outboxes yet."""

    def __init__(self, everyone: Everyone[S]) -> None:
        self.everyone = everyone
        self._to: Others[S] | None = None
        """Who gets the messages of the last run."""
        self._run: list[Message] = []
        self._runs: list[bytes] = []
        self._sizes: list[int] = []
        """For each run: it goes to so many of the room, the first; who came later does not get it."""
        self._own: dict[S, set[int]] = {}
        """Which of the runs do not go to a session, though it is one of them."""

    def add(self, message: Message, to: Others[S]) -> None:
        """One more message."""
        if to is not self._to:
            self._end_run()
            self._to = to
        self._run.append(message)

    def reaches(self, session: S) -> bool:
        """Is there something here that this one gets, or may get?"""
        return self._to is not None and self.everyone.place.get(session, self._to.size) < self._to.size

    def shares(self) -> Iterator[tuple[S, bytes]]:
        """Who gets what."""
        self._end_run()
        if not self._runs:
            return
        all_of_it = b"".join(self._runs)
        for place, session in enumerate(islice(self.everyone, self._sizes[-1])):
            if session is None:
                continue
            if place < self._sizes[0] and session not in self._own:
                yield session, all_of_it
            else:
                yield session, self._without_own(session, place)

    def share(self, session: S) -> bytes:
        """What this one gets, who goes before the others are given theirs."""
        self._end_run()
        place = self.everyone.place.get(session)
        return b"" if place is None else self._without_own(session, place)

    def _without_own(self, session: S, place: int) -> bytes:
        first = bisect_right(self._sizes, place)  # the runs before were said before this one came
        own = self._own.get(session, ())
        return b"".join(run for i, run in enumerate(self._runs[first:], first) if i not in own)

    def _end_run(self) -> None:
        if self._to is None or not self._run:
            return
        if self._to.but is not None:
            self._own.setdefault(self._to.but, set()).add(len(self._runs))
        self._runs.append(encode_lines(self._run))
        self._sizes.append(self._to.size)
        self._run = []
