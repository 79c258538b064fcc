"""Stage 1's server session, in memory: what goes in and what comes out, message by message."""

import msgspec
import pytest

from common.limits import LINE_BYTES, ROSTER_PAGE
from common.messages import Join, Joined, Left, Message, Presence, Refused, Roster, Say, Undelivered
from common.session import Close, Send, ServerEffect
from common.wire import encode
from stages.stage1_plaintext.server import Server, ServerSession


class Desk:
    """A server, and each session's post in the order in which it was sent."""

    def __init__(self) -> None:
        self.server = Server()
        self.post: dict[ServerSession, list[Message | Close]] = {}

    def connect(self, address: str = "10.13.37.21") -> ServerSession:
        session = self.server.session(address)
        self.post[session] = []
        return session

    def hand(self, session: ServerSession, message: Join | Say) -> None:
        """A message arrives from this session."""
        self._deliver(session, session.received(message))

    def hang_up(self, session: ServerSession) -> None:
        """The connection ends."""
        self._deliver(session, session.disconnected())

    def _deliver(self, by: ServerSession, effects: list[ServerEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message, to=recipients):
                    for recipient in recipients:
                        assert isinstance(recipient, ServerSession)
                        self.post[recipient].append(message)
                case Close():
                    self.post[by].append(effect)

    def read(self, session: ServerSession) -> list[Message | Close]:
        """What was sent to this session since it was last asked."""
        post, self.post[session] = self.post[session], []
        return post

    def member(self, name: str, address: str = "10.13.37.21", udp_port: int = 4000) -> ServerSession:
        """Somebody who has joined, with all post read, by everybody."""
        session = self.connect(address)
        self.hand(session, Join(name=name, udp_port=udp_port))
        assert session.inside
        for everybody in self.post:
            self.read(everybody)
        return session


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_newcomer_gets_the_roster_and_the_others_hear_of_them(desk: Desk) -> None:
    alice, bob = desk.connect("10.13.37.21"), desk.connect("10.13.37.22")

    desk.hand(alice, Join(name="alice", udp_port=4001))
    first = Presence(name="alice", address="10.13.37.21", udp_port=4001)
    assert desk.read(alice) == [Roster(members=[first])]
    assert desk.read(bob) == []

    desk.hand(bob, Join(name="bob", udp_port=4002))
    second = Presence(name="bob", address="10.13.37.22", udp_port=4002)
    assert desk.read(bob) == [Roster(members=[first, second])]
    assert desk.read(alice) == [Joined(name="bob", address="10.13.37.22", udp_port=4002)]


def test_member_speaks_to_the_room_and_does_not_hear_themselves(desk: Desk) -> None:
    alice, bob, carol = (desk.member(name) for name in ("alice", "bob", "carol"))
    desk.hand(alice, Say(sender="alice", text="hello"))
    assert desk.read(alice) == []
    assert desk.read(bob) == desk.read(carol) == [Say(sender="alice", text="hello")]


def test_server_relays_whatever_name_a_message_claims(desk: Desk) -> None:
    _alice, bob, mallory = (desk.member(name) for name in ("alice", "bob", "mallory"))
    forged = Say(sender="alice", text="send the money")
    desk.hand(mallory, forged)
    assert desk.read(bob) == [forged]


def test_member_speaks_to_one_and_nobody_else_hears(desk: Desk) -> None:
    alice, bob, carol = (desk.member(name) for name in ("alice", "bob", "carol"))
    desk.hand(alice, Say(sender="alice", text="psst", to="bob"))
    assert desk.read(bob) == [Say(sender="alice", text="psst", to="bob")]
    assert desk.read(alice) == desk.read(carol) == []


def test_member_may_write_to_themselves(desk: Desk) -> None:
    alice = desk.member("alice")
    desk.hand(alice, Say(sender="alice", text="a note", to="alice"))
    assert desk.read(alice) == [Say(sender="alice", text="a note", to="alice")]


def test_message_to_nobody_is_undelivered_and_the_connection_stays(desk: Desk) -> None:
    alice, bob = desk.member("alice"), desk.member("bob")
    desk.hand(alice, Say(sender="alice", text="psst", to="carol"))
    assert desk.read(alice) == [Undelivered(to="carol")]
    desk.hand(alice, Say(sender="alice", text="still here"))
    assert desk.read(bob) == [Say(sender="alice", text="still here")]


def refusal(desk: Desk, session: ServerSession) -> str:
    """The code of the one refusal that this session got, and after which it is closed."""
    refused, close = desk.read(session)
    assert isinstance(refused, Refused)
    assert refused.reason.endswith(".")
    assert close == Close(session)
    return refused.code


def test_server_refuses_a_name_in_use(desk: Desk) -> None:
    alice, second = desk.member("alice"), desk.connect()
    desk.hand(second, Join(name="alice", udp_port=1))
    assert refusal(desk, second) == "name-in-use"
    assert not second.inside
    assert desk.read(alice) == []


@pytest.mark.parametrize(("name", "other"), [("alice", "a1ice"), ("bob", "b0b"), ("a-b", "a_b")])
def test_server_refuses_a_name_that_looks_like_anothers(desk: Desk, name: str, other: str) -> None:
    member, second = desk.member(name), desk.connect()
    desk.hand(second, Join(name=other, udp_port=1))
    assert refusal(desk, second) == "look-alike"
    assert desk.read(member) == []


def test_server_refuses_whoever_speaks_before_joining(desk: Desk) -> None:
    alice, stranger = desk.member("alice"), desk.connect()
    desk.hand(stranger, Say(sender="alice", text="hello"))
    assert refusal(desk, stranger) == "not-joined"
    assert desk.read(alice) == []


@pytest.mark.parametrize("name", ["alice", "anna"])
def test_server_refuses_a_second_join(desk: Desk, name: str) -> None:
    alice, bob = desk.member("alice"), desk.member("bob")
    desk.hand(alice, Join(name=name, udp_port=1))
    assert refusal(desk, alice) == "already-joined"
    assert desk.read(bob) == []


def test_member_who_goes_frees_the_name_and_the_others_hear_of_it(desk: Desk) -> None:
    alice, bob = desk.member("alice"), desk.member("bob")
    desk.hang_up(alice)
    assert desk.read(bob) == [Left(name="alice")]
    assert desk.read(alice) == []
    again = desk.connect()
    desk.hand(again, Join(name="a1ice", udp_port=1))
    assert again.inside


def test_nobody_hears_of_a_connection_that_never_joined(desk: Desk) -> None:
    bob, refused = desk.member("bob"), desk.connect()
    desk.hand(refused, Join(name="bob", udp_port=1))
    desk.hang_up(refused)
    desk.hang_up(desk.connect())
    assert desk.read(bob) == []
    again = desk.connect()
    desk.hand(again, Join(name="bob", udp_port=1))
    assert refusal(desk, again) == "name-in-use"


def test_roster_of_many_members_comes_in_pages_that_fit_a_line(desk: Desk) -> None:
    for number in range(599):
        desk.member(f"a-very-long-name-{number:03}", "255.255.255.255", 65535)
    last = desk.connect()
    desk.hand(last, Join(name="last", udp_port=1))
    pages = msgspec.convert(desk.read(last), list[Roster])
    assert [len(page.members) for page in pages] == [ROSTER_PAGE, ROSTER_PAGE, 100]
    assert [page.more for page in pages] == [True, True, False]
    assert [member.name for page in pages for member in page.members][-1] == "last"
    assert len({member.name for page in pages for member in page.members}) == 600
    assert all(len(encode(page)) < LINE_BYTES / 2 for page in pages)
