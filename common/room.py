"""Who is there: the members in order of arrival, and the roster that a newcomer gets.

In a large room coming and going must not cost what the room costs. So nothing here is built anew for it: whoever comes
is put behind the others, whoever goes leaves a gap, and only the page of the roster changes on which they stood.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar, overload

from common.limits import ROSTER_PAGE
from common.messages import Presence, Roster
from common.text import skeleton

S = TypeVar("S")


class Everyone(list[S | None]):
    """The sessions of one room in order of arrival, None where somebody has gone. It only ever grows; a room with more
    gaps than members begins another."""

    def __init__(self, sessions: Sequence[S] = ()) -> None:
        super().__init__(sessions)
        self.place = {session: i for i, session in enumerate(sessions)}
        """Where each one stands who is there."""

    def enter(self, session: S) -> None:
        """Somebody comes."""
        self.place[session] = len(self)
        self.append(session)

    def leave(self, session: S) -> None:
        """Somebody goes."""
        self[self.place.pop(session)] = None


class Others(Sequence[S]):
    """Everybody who was there at this moment and still is, but one: the first `size` of `everyone`, without `but`."""

    __slots__ = ("but", "everyone", "size")

    def __init__(self, everyone: Everyone[S], but: S | None) -> None:
        self.everyone = everyone
        self.size = len(everyone)
        self.but = but

    def __iter__(self) -> Iterator[S]:
        there = islice(self.everyone, self.size)
        return (session for session in there if session is not None and session is not self.but)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> list[S]: ...
    def __getitem__(self, index: int | slice) -> S | list[S]:
        return list(self)[index]


class _Page:
    """A part of the roster, and its message as long as nobody on it comes or goes."""

    def __init__(self) -> None:
        self.members: dict[str, Presence] = {}
        self._message: Roster | None = None

    def enter(self, presence: Presence) -> None:
        self.members[presence.name] = presence
        self._message = None

    def leave(self, name: str) -> None:
        del self.members[name]
        self._message = None

    def message(self, *, more: bool) -> Roster:
        if self._message is None or self._message.more != more:
            self._message = Roster(members=list(self.members.values()), more=more)
        return self._message


class Room(Generic[S]):
    """The members of one room; S is the server's session type."""

    def __init__(self) -> None:
        self._sessions: dict[str, S] = {}
        self._everyone: Everyone[S] = Everyone()
        self._others: Others[S] = Others(self._everyone, None)
        self._pages: list[_Page] = []
        self._page_of: dict[str, _Page] = {}
        self._skeletons: dict[str, str] = {}

    def enter(self, session: S, presence: Presence) -> None:
        """Somebody comes in. The name must be free (`resembling` says whether)."""
        self._sessions[presence.name] = session
        self._everyone.enter(session)
        self._skeletons[skeleton(presence.name)] = presence.name
        if not self._pages or len(self._pages[-1].members) == ROSTER_PAGE:
            self._pages.append(_Page())
        self._pages[-1].enter(presence)
        self._page_of[presence.name] = self._pages[-1]

    def leave(self, name: str) -> None:
        """Somebody goes."""
        self._everyone.leave(self._sessions.pop(name))
        if len(self._everyone) > 2 * len(self._sessions):
            self._everyone = Everyone(list(self._sessions.values()))
        page = self._page_of.pop(name)
        page.leave(name)
        if not page.members:
            self._pages.remove(page)
        del self._skeletons[skeleton(name)]

    def resembling(self, name: str) -> str | None:
        """The member of this name, or of a name that looks the same; None where the name is free."""
        return self._skeletons.get(skeleton(name))

    def session(self, name: str) -> S | None:
        """The session of a member who is there."""
        return self._sessions.get(name)

    def all_but(self, session: S | None) -> Sequence[S]:
        """Everybody else, in order of arrival. Whoever says much in a row is given the same object each time."""
        last, everyone = self._others, self._everyone
        if last.but is not session or last.everyone is not everyone or last.size != len(everyone):
            self._others = Others(everyone, session)
        return self._others

    def roster(self) -> list[Roster]:
        """Everybody, in pages."""
        return [page.message(more=page is not self._pages[-1]) for page in self._pages]
