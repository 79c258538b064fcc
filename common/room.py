"""Who is there: the members in order of arrival, and the roster that a newcomer gets."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar, overload

from common.limits import ROSTER_PAGE
from common.messages import Presence, Roster
from common.text import skeleton

S = TypeVar("S")


class Others(Sequence[S]):
    """Everybody who was there at some moment, but one. All of that moment share one list, so that whoever sends can see
    that it goes to the same room."""

    __slots__ = ("but", "everyone")

    def __init__(self, everyone: list[S], but: S | None) -> None:
        self.everyone = everyone
        self.but = but

    def __iter__(self) -> Iterator[S]:
        return (session for session in self.everyone if session is not self.but)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> list[S]: ...
    def __getitem__(self, index: int | slice) -> S | list[S]:
        return list(self)[index]


class Room(Generic[S]):
    """The members of one room; S is the server's session type."""

    def __init__(self) -> None:
        self._sessions: dict[str, S] = {}
        self._present: dict[str, Presence] = {}
        self._skeletons: dict[str, str] = {}
        self._everyone: list[S] | None = None
        """All sessions, since somebody last came or went."""
        self._pages: list[Roster] = []
        """The roster's pages that are full; they stay as they are until somebody goes."""

    def enter(self, session: S, presence: Presence) -> None:
        """Somebody comes in. The name must be free (`resembling` says whether)."""
        self._sessions[presence.name] = session
        self._present[presence.name] = presence
        self._skeletons[skeleton(presence.name)] = presence.name
        self._everyone = None

    def leave(self, name: str) -> None:
        """Somebody goes."""
        del self._sessions[name]
        del self._present[name]
        del self._skeletons[skeleton(name)]
        self._everyone = None
        self._pages.clear()

    def resembling(self, name: str) -> str | None:
        """The member of this name, or of a name that looks the same; None where the name is free."""
        return self._skeletons.get(skeleton(name))

    def session(self, name: str) -> S | None:
        """The session of a member who is there."""
        return self._sessions.get(name)

    def all_but(self, session: S | None) -> Sequence[S]:
        """Everybody else, in order of arrival."""
        if self._everyone is None:
            self._everyone = list(self._sessions.values())
        return Others(self._everyone, session)

    def roster(self) -> list[Roster]:
        """Everybody, in pages."""
        rest = list(islice(self._present.values(), len(self._pages) * ROSTER_PAGE, None))
        while len(rest) > ROSTER_PAGE:
            self._pages.append(Roster(members=rest[:ROSTER_PAGE], more=True))
            rest = rest[ROSTER_PAGE:]
        return [*self._pages, Roster(members=rest)]
