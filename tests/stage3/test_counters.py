"""Stage 3's counters: what is accepted and what is not, and the session number on the disk."""

from pathlib import Path

import pytest

from common.errors import LabError
from stages.stage3_symmetric.counters import TOLD, Counters, next_session
from stages.stage3_symmetric.room_key import Counter, Kind
from stages.stage3_symmetric.what_if.replay_protection_on import WINDOW, CheckedCounters

LAST = 2**53 - 1


@pytest.fixture
def checked(tmp_path: Path) -> CheckedCounters:
    return CheckedCounters(tmp_path)


WHISPERS: list[tuple[Counter, bool]] = [
    ((1, 0), True),
    ((1, 1), True),
    ((1, 1), False),
    ((1, 9), True),
    ((1, 8), True),
    ((1, 7), True),
    ((1, 7), False),
    ((1, WINDOW), True),
    ((1, WINDOW - 1), True),
    ((1, WINDOW - 1), False),
    ((1, 2), True),
    ((1, 2), False),
    ((1, WINDOW + 16), True),
    ((1, 3), False),  # 77 behind: too old to tell
    ((1, 16), False),  # 64 behind: too old by one
    ((1, 17), True),  # 63 behind: the last that can be told
    ((1, 17), False),
    ((1, WINDOW * 4), True),  # skips the whole window
    ((1, WINDOW * 3), False),
    ((1, WINDOW * 3 + 1), True),
    ((1, LAST), True),  # skips as far as can be
    ((1, LAST), False),
    ((1, LAST - 1), True),
    ((1, LAST - WINDOW), False),
    ((1, LAST - WINDOW + 1), True),
    ((2, 5), True),  # the sender has started again
    ((2, 4), True),
    ((2, 5), False),
    ((1, LAST), False),
    ((1, 20), False),
    ((LAST, 0), True),
    ((2, 6), False),
]


def test_window_of_whispers_accepts_and_refuses_by_the_table(checked: CheckedCounters) -> None:
    for number, (counter, accepted) in enumerate(WHISPERS):
        assert (checked.accept("alice", "whisper", counter) is not None) == accepted, (number, counter)


@pytest.mark.parametrize("kind", ["room", "direct"])
def test_what_comes_through_the_server_must_be_above_the_last(checked: CheckedCounters, kind: Kind) -> None:
    table = [((1, 0), True), ((1, 0), False), ((1, 5), True), ((1, 4), False), ((2, 0), True), ((1, 6), False)]
    assert [checked.accept("alice", kind, counter) is not None for counter, _ in table] == [new for _, new in table]


def test_senders_and_kinds_are_counted_each_on_its_own(checked: CheckedCounters) -> None:
    for sender in ("alice", "bob"):
        for kind in ("room", "direct", "whisper"):
            assert checked.accept(sender, kind, (1, 0)) is not None
            assert checked.accept(sender, kind, (1, 0)) is None


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_everything_is_accepted_where_nothing_is_checked(tmp_path: Path, kind: Kind) -> None:
    counters = Counters(tmp_path)
    assert [counters.accept("alice", kind, counter) for counter in ((1, 5), (1, 5), (1, 0), (0, 0))] == [0] * 4


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_newcomer_refuses_what_was_said_before_whoever_said_it(tmp_path: Path, kind: Kind) -> None:
    for name in ("alice", "bob"):
        (tmp_path / name).mkdir()
    alice, bob = CheckedCounters(tmp_path / "alice"), CheckedCounters(tmp_path / "bob")
    own = [alice.next(kind) for _ in range(3)]
    alice.accept("carol", kind, (4, 2))
    bob.learn(alice.known("alice"))
    assert [bob.accept("alice", kind, counter) for counter in own] == [None] * 3
    assert [bob.accept("carol", kind, (4, n)) for n in range(3)] == [None] * 3
    assert bob.accept("alice", kind, alice.next(kind)) == 0
    assert bob.accept("carol", kind, (4, 3)) == 0


def test_newcomer_is_told_of_no_more_than_fits_a_line_and_of_the_teller_in_any_case(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    own = counters.next("room")
    for number in range(1000):
        counters.accept(f"name-{number}", "room", (1, 0))
    told = counters.known("alice")
    assert len(told) == TOLD
    assert told["alice room"] == own


def test_each_kind_begins_with_nothing_in_every_session(tmp_path: Path) -> None:
    first = Counters(tmp_path)
    assert [first.next("room"), first.next("whisper"), first.next("room")] == [(1, 0), (1, 0), (1, 1)]
    assert Counters(tmp_path).next("room") == (2, 0)


# The session number on the disk.


def test_session_number_counts_starts_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "session"
    assert [next_session(file) for _ in range(12)] == list(range(1, 13))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["session"]


@pytest.mark.parametrize("left", [b"", b"9", b"garbage"])
def test_crash_before_the_number_was_in_place_leaves_the_old_one(tmp_path: Path, left: bytes) -> None:
    file = tmp_path / "session"
    assert next_session(file) == 1
    (tmp_path / ".session-00c0ffee.part").write_bytes(left)
    assert next_session(file) == 2


@pytest.mark.parametrize("damaged", [b"", b"one", b"-5", b"1.5", b"\xff", b"1\n2", b"9" * 5000, str(LAST).encode()])
def test_damaged_session_number_is_one_sentence_and_left_as_it_is(tmp_path: Path, damaged: bytes) -> None:
    file = tmp_path / "session"
    file.write_bytes(damaged)
    with pytest.raises(LabError) as error:
        Counters(tmp_path)
    sentence = str(error.value)
    assert sentence.startswith(f"{file} is damaged (")
    assert sentence.endswith("); move it away and start again.")
    assert file.read_bytes() == damaged


@pytest.mark.parametrize("obstacle", ["no folder", "a folder in its place"])
def test_session_number_that_cannot_be_written_is_one_sentence(tmp_path: Path, obstacle: str) -> None:
    file = tmp_path / "session"
    if obstacle == "no folder":
        file = tmp_path / "nowhere" / "session"
    else:
        file.mkdir()
    with pytest.raises(LabError, match="is damaged" if file.is_dir() else "cannot be written"):
        next_session(file)
