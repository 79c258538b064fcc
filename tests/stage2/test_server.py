"""Stage 2's server session, in memory: who comes in, under which name, and what they are told."""

from pathlib import Path

import pytest

from common.messages import Joined, Left, Message, Presence, Refused, Roster, Say, Undelivered
from common.session import Close, Work
from common.wire import encode
from stages.stage2_hashed_auth.accounts import Accounts, Login, Register
from stages.stage2_hashed_auth.server import Server, ServerSession
from stages.stage2_hashed_auth.what_if.password_hash import Plaintext
from stages.stage2_hashed_auth.what_if.sender_from_message import TrustingServer
from tests.desk import Desk


def register(name: str, password: str = "sesame", udp_port: int = 4000) -> Register:
    """Make an account."""
    return Register(name=name, password=password, udp_port=udp_port)


def login(name: str, password: str = "sesame", udp_port: int = 4000) -> Login:
    """Come back."""
    return Login(name=name, password=password, udp_port=udp_port)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    """Accounts whose hashing costs nothing."""
    return Accounts(tmp_path / "accounts.sqlite", Plaintext())


@pytest.fixture
def desk(accounts: Accounts) -> Desk:
    return Desk(Server(accounts))


def member(desk: Desk, name: str, address: str = "10.13.37.21") -> ServerSession:
    """Somebody who has registered and is in, with all post read, by everybody."""
    session: ServerSession = desk.connect(address)
    desk.ask(session, register(name))
    assert session.inside
    desk.read_all()
    return session


def test_newcomer_registers_gets_the_roster_and_the_others_hear_of_them(desk: Desk) -> None:
    alice, bob = desk.connect("10.13.37.21"), desk.connect("10.13.37.22")

    desk.ask(alice, register("alice", udp_port=4001))
    first = Presence(name="alice", address="10.13.37.21", udp_port=4001)
    assert desk.read(alice) == [Roster(members=[first])]
    assert desk.read(bob) == []

    desk.ask(bob, register("bob", udp_port=4002))
    second = Presence(name="bob", address="10.13.37.22", udp_port=4002)
    assert desk.read(bob) == [Roster(members=[first, second])]
    assert desk.read(alice) == [Joined(name="bob", address="10.13.37.22", udp_port=4002)]


def test_nobody_is_in_before_the_slow_work_is_done(desk: Desk) -> None:
    bob, alice = member(desk, "bob"), desk.connect()
    effects = alice.received(register("alice"))
    assert [type(effect) for effect in effects] == [Work]
    assert not alice.inside
    assert desk.read(bob) == []


def test_member_comes_back_with_the_password(desk: Desk) -> None:
    desk.hang_up(member(desk, "alice"))
    again = desk.connect()
    desk.ask(again, login("alice"))
    assert again.inside
    assert [type(message) for message in desk.read(again)] == [Roster]


def test_wrong_password_and_unknown_name_get_the_same_answer_to_the_byte(desk: Desk) -> None:
    desk.hang_up(member(desk, "alice"))
    answers = []
    for name, password in (("alice", "wrong"), ("nobody", "wrong")):
        session = desk.connect()
        desk.ask(session, login(name, password))
        refused, close = desk.read(session)
        assert isinstance(refused, Refused)
        assert close == Close()
        answers.append(encode(refused))
    assert answers[0] == answers[1]
    assert b"alice" not in answers[0]
    assert b'"code":"wrong-password"' in answers[0]


def test_wrong_password_leaves_the_member_who_is_there_in_peace(desk: Desk) -> None:
    alice, bob, mallory = member(desk, "alice"), member(desk, "bob"), desk.connect()
    desk.ask(mallory, login("alice", "guess"))
    assert desk.refusal(mallory) == "wrong-password"
    desk.hang_up(mallory)
    assert desk.read(alice) == desk.read(bob) == []
    desk.hand(alice, Say(sender="alice", text="still me"))
    assert desk.read(bob) == [Say(sender="alice", text="still me")]


@pytest.mark.parametrize("name", ["alice", "a1ice"])
@pytest.mark.parametrize("there", [True, False])
def test_name_that_is_taken_is_refused_whether_its_member_is_there_or_not(desk: Desk, name: str, there: bool) -> None:
    alice, second = member(desk, "alice"), desk.connect()
    if not there:
        desk.hang_up(alice)
    desk.ask(second, register(name, "another"))
    assert desk.refusal(second) == "name-taken"
    assert not second.inside
    assert desk.read(alice) == []


def test_one_of_two_who_register_a_name_at_once_gets_it(desk: Desk) -> None:
    first, second = desk.connect(), desk.connect()
    desk.hand(first, register("alice", "one"))
    desk.hand(second, register("alice", "two"))
    desk.work()
    assert first.inside
    assert desk.refusal(second) == "name-taken"


def test_older_session_of_a_member_is_told_and_replaced(desk: Desk) -> None:
    older, bob, newer = member(desk, "alice"), member(desk, "bob"), desk.connect("10.13.37.99")
    desk.ask(newer, login("alice", udp_port=4009))
    told, close = desk.read(older)
    assert told == Refused(code="replaced", reason="You logged in from somewhere else, so this session ended.")
    assert close == Close()
    assert desk.read(bob) == [Left(name="alice"), Joined(name="alice", address="10.13.37.99", udp_port=4009)]
    assert not older.inside
    assert newer.inside
    desk.hand(bob, Say(sender="bob", text="which of you?", to="alice"))
    assert Say(sender="bob", text="which of you?", to="alice") in desk.read(newer)
    assert desk.read(older) == []


def test_replaced_session_that_ends_takes_nobody_along(desk: Desk) -> None:
    older, bob, newer = member(desk, "alice"), member(desk, "bob"), desk.connect()
    desk.ask(newer, login("alice"))
    desk.read_all()
    desk.hang_up(older)
    assert desk.read(bob) == []
    assert newer.inside


def test_two_logins_at_once_end_with_one_session(desk: Desk) -> None:
    desk.hang_up(member(desk, "alice"))
    first, second = desk.connect(), desk.connect()
    desk.hand(first, login("alice"))
    desk.hand(second, login("alice"))
    desk.work()
    assert [type(message) for message in desk.read(first)] == [Roster, Refused, Close]
    assert [type(message) for message in desk.read(second)] == [Roster]


@pytest.mark.parametrize("claimed", ["alice", "bob", "nobody"])
@pytest.mark.parametrize("to", [None, "bob"])
def test_server_writes_the_senders_name_whatever_the_message_claims(desk: Desk, claimed: str, to: str | None) -> None:
    _alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    desk.hand(carol, Say(sender=claimed, text="send the money", to=to))
    assert desk.read(bob) == [Say(sender="carol", text="send the money", to=to)]


def test_server_that_trusts_the_message_lets_carol_speak_as_alice(accounts: Accounts) -> None:
    desk = Desk(TrustingServer(accounts))
    _alice, bob, carol = (member(desk, name) for name in ("alice", "bob", "carol"))
    desk.hand(carol, Say(sender="alice", text="send the money"))
    assert desk.read(bob) == [Say(sender="alice", text="send the money")]


def test_message_to_nobody_is_undelivered_and_the_connection_stays(desk: Desk) -> None:
    alice, bob = member(desk, "alice"), member(desk, "bob")
    desk.hand(alice, Say(sender="alice", text="psst", to="carol"))
    assert desk.read(alice) == [Undelivered(to="carol")]
    desk.hand(alice, Say(sender="alice", text="still here"))
    assert desk.read(bob) == [Say(sender="alice", text="still here")]


@pytest.mark.parametrize("message", [Say(sender="alice", text="hello"), Say(sender="alice", text="hello", to="bob")])
def test_server_refuses_whoever_speaks_before_they_are_in(desk: Desk, message: Message) -> None:
    bob, stranger = member(desk, "bob"), desk.connect()
    desk.hand(stranger, message)
    assert desk.refusal(stranger) == "not-joined"
    assert desk.read(bob) == []


@pytest.mark.parametrize("message", [login("alice"), register("alice"), login("bob"), register("dora")])
def test_server_refuses_whoever_is_in_and_asks_again(desk: Desk, message: Message) -> None:
    alice, bob = member(desk, "alice"), member(desk, "bob")
    desk.hand(alice, message)
    assert desk.waiting == []
    assert desk.refusal(alice) == "already-joined"
    assert desk.read(bob) == [Left(name="alice")]


def test_operator_removes_a_member_who_is_told_and_cannot_come_back(desk: Desk) -> None:
    alice, carol = member(desk, "alice"), member(desk, "carol")
    desk.deliver(None, desk.server.remove("carol"))
    assert desk.refusal(carol) == "removed"
    assert desk.read(alice) == [Left(name="carol")]
    again = desk.connect()
    desk.ask(again, login("carol"))
    assert desk.refusal(again) == "wrong-password"


def test_operator_removes_somebody_who_is_not_there(desk: Desk) -> None:
    alice, carol = member(desk, "alice"), member(desk, "carol")
    desk.hang_up(carol)
    desk.read_all()
    assert desk.server.remove("carol") == desk.server.remove("nobody") == []
    assert desk.read(alice) == []
    again = desk.connect()
    desk.ask(again, login("carol"))
    assert desk.refusal(again) == "wrong-password"


@pytest.mark.parametrize("asked", ["register", "login"])
def test_whoever_is_removed_while_their_password_is_checked_does_not_get_in(desk: Desk, asked: str) -> None:
    """The password was found right, and only then the account removed: the answer comes too late."""
    alice, carol = member(desk, "alice"), desk.connect()
    if asked == "login":
        desk.hang_up(member(desk, "carol"))
        desk.read_all()
    [work] = carol.received(login("carol") if asked == "login" else register("carol"))
    right = work.slow()
    assert right is True
    desk.deliver(None, desk.server.remove("carol"))
    desk.deliver(carol, work.then(right))
    assert not carol.inside
    assert desk.read(alice) == []
    assert isinstance(desk.read(carol)[0], Refused)
