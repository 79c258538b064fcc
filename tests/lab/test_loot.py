"""What a thief gets: the record of what was relayed, and what may be a key in a member's memory."""

from pathlib import Path

from common.levers import Levers
from common.messages import Join, Say
from common.session import Person
from lab.loot import RecordedServer, keys_in
from stages import find


def test_server_is_recorded_and_answers_as_before() -> None:
    recorded = RecordedServer(find(1).server(Levers(), Path()))
    alice, bob = recorded.session("10.13.37.21"), recorded.session("10.13.37.22")
    for session, name in ((alice, "alice"), (bob, "bob")):
        assert session.received(Join(name=name, udp_port=4000))
    before = len(recorded.relayed)
    [sent] = alice.received(Say(sender="alice", text="hello"))
    assert list(sent.to) == [bob]  # type: ignore[union-attr]
    assert recorded.relayed[before:] == [b'{"type":"say","from":"alice","text":"hello"}']


def test_room_key_is_found_in_a_members_memory(tmp_path: Path) -> None:
    stage = find(3)
    session = stage.client(Levers(known=stage.levers), Person("bob", 4000, "sesame", folder=tmp_path))
    assert list(keys_in(session)) == ["own"]
    session.have_key(stage._module("room_key").RoomKey(b"k" * 32, session.ciphers))  # type: ignore[attr-defined]
    assert keys_in(session)["room_key.key"] == b"k" * 32


def test_nothing_in_the_memory_of_a_stage_without_encryption_is_taken_for_a_key() -> None:
    assert keys_in(find(1).client(Levers(), Person("bob", 4000))) == {}
