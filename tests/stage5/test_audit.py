"""What audits/stage5-box.md says of the sessions, each flaw shown by itself: mended or changed, the test goes red."""

import json
import ssl
from pathlib import Path

import pytest
from nacl.public import Box, PrivateKey, PublicKey

import stages
from common.files import read_checked
from common.levers import Levers
from common.messages import Left, Refused
from common.session import Datagram, Person, Work
from common.wire import encode_datagram
from lab.certificates import Wish, issued, lab_authority, pem
from stages.stage5_box.accounts import Accounts, Login, Register
from stages.stage5_box.box import NoPadding, PeerBox, Say, open_from
from stages.stage5_box.server import Server
from stages.stage5_box.what_if.password_hash import Plaintext
from tests.desk import Desk
from tests.stage4.test_tls import shake_hands
from tests.stage5.table import Seat, Table, fresh, joined


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def two(table: Table) -> tuple[Seat, Seat]:
    """Alice and Bob, who have met."""
    alice, bob = table.sit("alice"), table.sit("bob")
    for seat in (alice, bob):
        seat.texts()
        seat.boxes()
    return alice, bob


# S5-01: the first key is taken on trust.


def test_invented_member_is_met_like_anybody_and_gets_a_box_of_all_that_is_said(table: Table) -> None:
    alice, _ = two(table)
    ghost = PrivateKey.generate()
    shown = table.gets("alice", joined("dora", bytes(ghost.public_key)))
    assert shown[:2] == ["dora joined, from 10.13.37.66", "First contact with dora. Their safety number with you:"]
    table.types("alice", "one thing more")
    (hers,) = [box for box in alice.boxes() if box.to == "dora"]
    assert open_from(PeerBox(ghost, alice.client.public_key), NoPadding(), hers).text == "one thing more"


def test_first_key_that_the_server_names_is_pinned_and_the_true_one_is_then_the_changed_one(table: Table) -> None:
    alice = table.sit("alice")
    table.gets("alice", joined("bob", fresh()))
    table.types("alice", "good morning")
    assert [box.to for box in alice.boxes()] == ["bob"]
    assert "BOB'S KEY HAS CHANGED." in table.gets("alice", joined("bob", fresh()))[1]


# S5-02: a server that withholds for good is not told from silence.


def test_messages_that_are_kept_back_for_good_are_told_by_nothing_and_by_the_next_one(table: Table) -> None:
    alice, bob = two(table)
    table.withheld = {"bob"}
    table.types("alice", "one thing more")
    table.types("alice", "I have to go now")
    assert bob.texts() == alice.texts() == []
    assert table.gets("alice", Left(name="bob")) == ["bob left"]  # the lie
    table.gets("alice", joined("bob", bob.client.public_key))
    table.withheld = set()
    table.types("alice", "still here?")
    assert bob.texts() == ["Messages of alice's that are missing here: 2", "room alice: still here?"]


# S5-03: a stolen identity key opens everything recorded.


@pytest.mark.parametrize("robbed", ["alice", "bob"])
def test_either_key_of_two_opens_all_that_they_ever_said(table: Table, robbed: str) -> None:
    alice, bob = two(table)
    table.types("alice", "in January")
    table.types("bob", "in February")
    record = [*alice.boxes(), *bob.boxes()]
    table.goes("alice")
    again = table.sit("alice")
    table.types("alice", "in June")
    record += again.boxes()
    other = {"alice": bob, "bob": alice}[robbed].client.public_key
    stolen = PrivateKey(bytes.fromhex(read_checked(table.folder / robbed / "identity").decode()))
    box = Box(stolen, PublicKey(other))
    opened = [json.loads(box.decrypt(sealed.ciphertext, sealed.nonce))["text"] for sealed in record]
    assert opened == ["in January", "in February", "in June"]


# S5-04: whoever has the authority's key is the server.


def test_certificate_of_the_authoritys_stolen_key_is_taken_and_only_a_pin_tells_it_apart(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "alice").mkdir()
    stage, person = stages.find(5), Person("alice", 0, folder=tmp_path / "alice")
    usual, pinning = (Levers.parse(words, stage.levers) for words in ("", "pin_server_key=on"))
    true, pinned = stage.server_tls(usual, tmp_path / "server"), stage.client_tls(pinning, person)
    assert true
    assert pinned
    shake_hands(true, pinned)  # Alice has talked to the true server before
    wish = Wish()
    (tmp_path / "forged.pem").write_bytes(pem(wish.key, issued(wish, lab_authority(tmp_path / "ca"))))
    false, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), stage.client_tls(usual, person)
    false.load_cert_chain(tmp_path / "forged.pem")
    assert client
    assert shake_hands(false, client).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="not the one that is kept in server-key"):
        shake_hands(false, pinned)


# S5-05: the server is told every password.


def test_server_is_handed_the_password_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str]] = []
    accounts = Accounts(tmp_path / "accounts.sqlite", Plaintext())
    monkeypatch.setattr(accounts, "verify", lambda name, password: heard.append((name, password)))
    login = Login(name="alice", password="sesame", udp_port=4001, public_key=fresh())
    (work,) = Server(accounts).session("10.13.37.21").received(login)
    assert isinstance(work, Work)
    work.slow()
    assert heard == [("alice", "sesame")]


# S5-06: the length of what is said stays visible.


def test_box_is_as_long_as_what_is_in_it_and_a_tag(table: Table) -> None:
    alice, _ = two(table)
    for text in ("yes", "no, never"):
        table.types("alice", text)
    short, long = (len(box.ciphertext) for box in alice.boxes())
    assert long - short == len("no, never") - len("yes")


# S5-07: registering tells who has an account.


def test_registering_is_answered_differently_where_the_name_has_an_account(tmp_path: Path) -> None:
    desk = Desk(Server(Accounts(tmp_path / "accounts.sqlite", Plaintext())))
    answers = []
    for name in ("alice", "alice", "zoe"):
        asking = desk.connect()
        desk.ask(asking, Register(name=name, password="a guess", udp_port=4001, public_key=fresh()))
        answers.append(isinstance(desk.read(asking)[0], Refused))
        desk.hang_up(asking)
    assert answers == [False, True, False]


# S5-08: who talks to whom stays visible.


def test_whisper_goes_straight_to_its_recipient_and_every_box_has_both_names_on_it(table: Table) -> None:
    alice, bob = two(table)
    (datagram,) = alice.client.whisper("bob", "between us")
    assert isinstance(datagram, Datagram)
    assert datagram.to == ("10.13.37.21", bob.client.udp_port)
    assert b'"from":"alice","to":"bob"' in encode_datagram(datagram.message)
    table.types("alice", "good morning")
    assert [(type(box), box.sender, box.to) for box in alice.boxes()] == [(Say, "alice", "bob")]


# What was not covered by an attack.


def test_folder_from_a_backup_is_not_heard_until_its_number_has_caught_up(table: Table) -> None:
    _, bob = two(table)
    session = table.folder / "alice" / "session"
    backup = session.read_bytes()
    for _ in range(2):
        table.goes("alice")
        table.sit("alice")
        table.types("alice", "good morning")
    session.write_bytes(backup)
    heard = []
    for text in ("first", "second", "third"):
        table.goes("alice")
        table.sit("alice")
        bob.texts()
        table.types("alice", text)
        heard += bob.texts()
    assert heard == ["An old message of alice's came again; it was dropped."] * 2 + ["room alice: third"]
