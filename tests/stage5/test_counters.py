"""Stage 5's counters: what is accepted and what is not, what is missing, and the files that remember it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import LabError
from stages.stage5_box.box import Counter, Kind
from stages.stage5_box.counters import WINDOW, Counters, next_session
from stages.stage5_box.what_if.replay_protection_off import UncheckedCounters

ALICE, BOB = bytes(32), bytes([1]) * 32
LAST = 2**53 - 1


@pytest.fixture
def counters(tmp_path: Path) -> Counters:
    return Counters(tmp_path, BOB)


WHISPERS: list[tuple[Counter, bool]] = [  # as wireguard-go's replay_test.go, with sessions
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
    ((1, WINDOW - 2), True),
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
    ((1, WINDOW * 5), True),  # skips the window less one
    ((1, WINDOW * 4 + 1), True),
    ((1, WINDOW * 4), False),
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
    ((LAST, LAST), True),
    ((2, 6), False),
]


@pytest.mark.parametrize("restarts", [False, True])
def test_window_of_whispers_accepts_and_refuses_by_the_table(tmp_path: Path, restarts: bool) -> None:
    counters = Counters(tmp_path, BOB)
    for number, (counter, accepted) in enumerate(WHISPERS):
        assert (counters.accept(ALICE, "whisper", counter) is not None) == accepted, (number, counter)
        if restarts:
            counters = Counters(tmp_path, BOB)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 200)), max_size=60))
def test_nothing_is_ever_accepted_twice(tmp_path_factory: pytest.TempPathFactory, given: list[Counter]) -> None:
    counters = Counters(tmp_path_factory.mktemp("counters"), BOB)
    accepted = [counter for counter in given if counters.accept(ALICE, "whisper", counter) is not None]
    assert len(accepted) == len(set(accepted))


ORDERED: list[tuple[Counter, int | None]] = [
    ((1, 0), 0),
    ((1, 0), None),
    ((1, 1), 0),
    ((1, 4), 2),
    ((1, 3), None),  # late is old: it was told as missing, and stays so
    ((1, 5), 0),
    ((3, 0), 0),  # the sender has started again
    ((2, 9), None),
    ((1, 6), None),
    ((4, 2), 2),
    ((LAST, LAST), LAST),
]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("kind", ["room", "direct"])
def test_what_comes_through_the_server_is_in_order_and_gaps_are_counted(
    tmp_path: Path, kind: Kind, restarts: bool
) -> None:
    counters = Counters(tmp_path, BOB)
    for number, (counter, missing) in enumerate(ORDERED):
        assert counters.accept(ALICE, kind, counter) == missing, (number, counter)
        if restarts:
            counters = Counters(tmp_path, BOB)


def test_what_was_kept_from_us_before_the_first_is_missing(counters: Counters) -> None:
    assert counters.accept(ALICE, "room", (7, 3)) == 3


def test_peers_and_kinds_are_counted_each_on_its_own(tmp_path: Path) -> None:
    counters = Counters(tmp_path, BOB)
    kinds: tuple[Kind, ...] = ("room", "direct", "whisper")
    for peer in (ALICE, BOB):
        for kind in kinds:
            assert [counters.next(peer, kind) for _ in range(2)] == [(1, 0), (1, 1)]
            assert [counters.accept(peer, kind, (1, 0)) for _ in range(2)] == [0, None]


def test_no_counter_is_ever_given_twice(tmp_path: Path) -> None:
    given = [counters.next(BOB, "room") for counters in (Counters(tmp_path, BOB) for _ in range(3)) for _ in range(3)]
    assert len(set(given)) == 9
    assert given == sorted(given)


def test_peer_begins_again_under_a_new_key_of_our_own_and_the_old_one_is_not_forgotten(tmp_path: Path) -> None:
    assert Counters(tmp_path, BOB).accept(ALICE, "room", (1, 5)) == 5
    assert Counters(tmp_path, bytes([2]) * 32).accept(ALICE, "room", (1, 0)) == 0
    assert Counters(tmp_path, BOB).accept(ALICE, "room", (1, 5)) is None


def test_what_was_accepted_is_on_the_disk_before_it_can_be_shown(tmp_path: Path) -> None:
    counters = Counters(tmp_path, BOB)
    counters.accept(ALICE, "room", (1, 0))
    file = tmp_path / "seen.json"
    assert Counters(tmp_path, BOB).accept(ALICE, "room", (1, 0)) is None
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"seen.json", "session"}


def test_what_cannot_be_recorded_is_not_accepted(tmp_path: Path) -> None:
    counters = Counters(tmp_path, BOB)
    (tmp_path / "seen.json").mkdir()  # nothing can take its place
    with pytest.raises(LabError, match=r"cannot be written \(Is a directory\)"):
        counters.accept(ALICE, "room", (1, 0))


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"{", b'{"a":[1,2]}', b'{"a":[[-1,0],1]}', b'{"a":[["x",0],1]}', b"\xff"]
)
def test_damaged_record_is_one_sentence_and_stays(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(damaged)
    with pytest.raises(LabError, match=r"is damaged .* old messages may be shown again") as error:
        Counters(tmp_path, BOB)
    assert "\n" not in str(error.value)
    assert (tmp_path / "seen.json").read_bytes() == damaged


@pytest.mark.parametrize("damaged", [b"", b"one", b"-5", b"1.5", b"\xff", str(LAST).encode()])
def test_damaged_session_number_is_one_sentence_and_stays(tmp_path: Path, damaged: bytes) -> None:
    file = tmp_path / "session"
    file.write_bytes(damaged)
    with pytest.raises(LabError, match="is damaged"):
        next_session(file)
    assert file.read_bytes() == damaged


@pytest.mark.parametrize("kind", ["room", "direct", "whisper"])
def test_everything_is_new_where_nothing_is_looked_at(tmp_path: Path, kind: Kind) -> None:
    counters = UncheckedCounters(tmp_path, BOB)
    assert [counters.accept(ALICE, kind, counter) for counter in ((1, 5), (1, 5), (1, 0), (0, 0))] == [0] * 4
