"""Who is there: the members in order of arrival, and the roster that a newcomer gets."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from common.limits import ROSTER_PAGE
from common.messages import Presence, Roster
from common.text import skeleton

S = TypeVar("S")


class Room(Generic[S]):
    """The members of one room; S is the server's session type."""

    def __init__(self) -> None:
        self._sessions: dict[str, S] = {}
        self._present: dict[str, Presence] = {}
        self._skeletons: dict[str, str] = {}
        self._others: dict[S, list[S]] = {}
        """What `all_but` answered since somebody last came or went."""

    def enter(self, session: S, presence: Presence) -> None:
        """Somebody comes in. The name must be free (`resembling` says whether)."""
        self._sessions[presence.name] = session
        self._present[presence.name] = presence
        self._skeletons[skeleton(presence.name)] = presence.name
        self._others.clear()

    def leave(self, name: str) -> None:
        """Somebody goes."""
        del self._sessions[name]
        del self._present[name]
        del self._skeletons[skeleton(name)]
        self._others.clear()

    def resembling(self, name: str) -> str | None:
        """The member of this name, or of a name that looks the same; None where the name is free."""
        return self._skeletons.get(skeleton(name))

    def session(self, name: str) -> S | None:
        """The session of a member who is there."""
        return self._sessions.get(name)

    def all_but(self, session: S) -> Sequence[S]:
        """Everybody else, in order of arrival."""
        if session not in self._others:
            self._others[session] = [other for other in self._sessions.values() if other is not session]
        return self._others[session]

    def roster(self) -> list[Roster]:
        """Everybody, in pages."""
        members = list(self._present.values())
        pages = [members[i : i + ROSTER_PAGE] for i in range(0, len(members), ROSTER_PAGE)]
        return [Roster(members=page, more=page is not pages[-1]) for page in pages]
