"""A room's messages are gathered for a turn and joined; what each member is written must be what a server that writes
each message at once would have written: the same messages in the same order, whoever came and went in between."""

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common.limits import ROSTER_PAGE, Limits
from common.messages import Presence
from common.room import Others, Room
from common.runtime import ServerRuntime, _Connection
from stages.stage1_plaintext.server import Server

NAMES = [f"member-{n}" for n in range(4)]
UNLIMITED = Limits(bytes_per_second=1e12, burst_bytes=1e12, says_per_second=1 << 60)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 9)})
        self.written = b""
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Simple:
    """The same room, written as it is explained: every message goes to each at once."""

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[str, ...]]] = {}

    def tell(self, to: list[str], *message: str) -> None:
        for name in to:
            self.heard[name].append(message)

    def others(self, name: str) -> list[str]:
        return [other for other in self.heard if other != name]

    def come(self, name: str) -> None:
        self.heard[name] = [("roster", *self.heard, name)]
        self.tell(self.others(name), "joined", name)

    def go(self, name: str) -> None:
        del self.heard[name]
        self.tell(list(self.heard), "left", name)

    def say(self, name: str, text: str) -> None:
        self.tell(self.others(name), "say", name, text)

    def say_to(self, name: str, to: str, text: str) -> None:
        if to in self.heard:
            self.tell([to], "say", name, text)
        else:
            self.tell([name], "undelivered", to)


def read(line: bytes) -> tuple[str, ...]:
    """A message, in the words of `Simple`."""
    match json.loads(line):
        case {"type": "roster", "members": members}:
            return ("roster", *(member["name"] for member in members))
        case {"type": "joined" | "left" as kind, "name": name}:
            return (kind, name)
        case {"type": "say", "from": sender, "text": text}:
            return ("say", sender, text)
        case {"type": "undelivered", "to": to}:
            return ("undelivered", to)
        case other:
            return (str(other),)


async def turn_ends() -> None:
    """What has come is read, and then written: a turn of the event loop for each."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


NAME = st.sampled_from(NAMES)
ACTIONS = st.one_of(
    st.tuples(st.just("come or go"), NAME, NAME),
    st.tuples(st.just("come or go"), NAME, NAME),
    st.tuples(st.just("say"), NAME, NAME),
    st.tuples(st.just("say"), NAME, NAME),
    st.tuples(st.just("say to"), NAME, NAME),
    st.tuples(st.just("say to"), NAME, NAME),
    st.tuples(st.just("turn"), NAME, NAME),
)


@settings(max_examples=400)
@given(st.lists(ACTIONS, max_size=60))
def test_every_member_is_written_what_a_simple_server_would_write(actions: list[tuple[str, str, str]]) -> None:
    async def conversation() -> None:
        runtime, simple = ServerRuntime(Server(), UNLIMITED), Simple()
        there: dict[str, tuple[_Connection, Wire]] = {}

        def sends(who: str, **fields: str | int) -> None:
            there[who][0].data_received(json.dumps(fields).encode() + b"\n")

        for number, (action, name, other) in enumerate(actions):
            if action == "turn":
                await turn_ends()
            elif action == "come or go" and name in there:
                there.pop(name)[0].connection_lost(None)
                simple.go(name)
            elif action == "come or go":
                there[name] = _Connection(runtime), Wire()
                there[name][0].connection_made(there[name][1])
                sends(name, type="join", name=name, udp_port=9)
                simple.come(name)
            elif action == "say" and name in there:
                sends(name, **{"type": "say", "from": name, "text": str(number)})
                simple.say(name, str(number))
            elif name in there:
                sends(name, **{"type": "say", "from": name, "to": other, "text": str(number)})
                simple.say_to(name, other, str(number))
        await turn_ends()
        written = {name: [read(line) for line in wire.written.splitlines()] for name, (_, wire) in there.items()}
        assert written == simple.heard
        for connection, _ in list(there.values()):
            connection.connection_lost(None)
        await runtime.stop()

    asyncio.run(conversation())


def presence(name: str) -> Presence:
    return Presence(name=name, address="127.0.0.1", udp_port=9)


@given(st.lists(st.integers(0, 12), max_size=80))
def test_room_with_gaps_has_everybody_once_in_order_of_arrival(who: list[int]) -> None:
    room: Room[str] = Room()
    there: list[str] = []
    for name in (f"member-{n}" for n in who):
        if name in there:
            room.leave(name)
            there.remove(name)
        else:
            room.enter(f"session of {name}", presence(name))
            there.append(name)
        assert list(room.all_but(None)) == [f"session of {name}" for name in there]
        assert [member.name for page in room.roster() for member in page.members] == there


def test_roster_of_a_large_room_has_pages_of_which_only_the_changed_ones_are_made_anew() -> None:
    room: Room[int] = Room()
    for n in range(2 * ROSTER_PAGE + 1):
        room.enter(n, presence(f"m{n}"))
    before = room.roster()
    assert [(len(page.members), page.more) for page in before] == [(250, True), (250, True), (1, False)]
    room.leave("m300")
    room.enter(-1, presence("late"))
    after = room.roster()
    assert [(len(page.members), page.more) for page in after] == [(250, True), (249, True), (2, False)]
    assert after[0] is before[0]


def test_room_of_which_half_has_gone_keeps_no_gaps() -> None:
    room: Room[int] = Room()
    for n in range(100):
        room.enter(n, presence(f"m{n}"))
    for n in range(60):
        room.leave(f"m{n}")
    others = room.all_but(None)
    assert isinstance(others, Others)
    assert len(others) == 40
    assert len(others.everyone) < 60
