"""`replay_protection=on` tells what is missing, and takes nothing for missing that was never meant for us."""

from pathlib import Path

import pytest

from common.session import Show
from stages.stage3_symmetric.client import ClientSession
from stages.stage3_symmetric.counters import Counters
from stages.stage3_symmetric.room_key import Ciphers, Counter, Kind, RoomKey, Say
from stages.stage3_symmetric.what_if.replay_protection_on import CheckedCounters


@pytest.mark.parametrize(
    ("kind", "counters", "missing"),
    [
        ("room", [(1, 0), (1, 1), (1, 2)], [0, 0, 0]),
        ("room", [(1, 0), (1, 2), (1, 3)], [0, 1, 0]),
        ("room", [(1, 2)], [2]),
        ("room", [(1, 5), (1, 5)], [5, None]),
        ("room", [(1, 5), (1, 4)], [5, None]),
        ("room", [(1, 5), (2, 0), (2, 3)], [5, 0, 2]),
        ("room", [(1, 0), (4, 2)], [0, 2]),
        ("room", [(2, 0), (1, 9)], [0, None]),
        ("direct", [(1, 0), (1, 7), (1, 6)], [0, 0, None]),
        ("whisper", [(1, 0), (1, 7), (1, 6), (1, 6)], [0, 0, 0, None]),
    ],
)
def test_checked_counters_say_how_many_are_missing(
    tmp_path: Path, kind: Kind, counters: list[Counter], missing: list[int | None]
) -> None:
    checked, unchecked = CheckedCounters(tmp_path), Counters(tmp_path)
    assert [checked.accept("alice", kind, counter) for counter in counters] == missing
    assert [unchecked.accept("alice", kind, counter) for counter in counters] == [0] * len(counters)


def test_newcomer_misses_nothing_that_was_said_before_and_is_told_of_what_is_dropped_since(tmp_path: Path) -> None:
    holder, newcomer = CheckedCounters(tmp_path), CheckedCounters(tmp_path)
    said = [holder.next("room") for _ in range(5)]
    newcomer.learn({**holder.known("alice")} | {"carol room": (1, 3)})
    assert newcomer.accept("alice", "room", said[-1]) is None, "said before the newcomer came"
    assert newcomer.accept("alice", "room", holder.next("room")) == 0
    assert newcomer.accept("carol", "room", (1, 6)) == 2


def test_client_shows_the_notice_before_the_message(tmp_path: Path) -> None:
    client = ClientSession("bob", 1, "secret", register=True, ciphers=Ciphers(), counters=CheckedCounters(tmp_path))
    client.room_key = RoomKey.fresh(Ciphers())
    sealed = [client.room_key.seal("room", "alice", None, (1, n), f"words {n}") for n in (0, 3)]
    shown = [effect for message in sealed if isinstance(message, Say) for effect in client.received(message)]
    assert [(show.kind, show.text) for show in shown if isinstance(show, Show)] == [
        ("room", "words 0"),
        ("notice", "Messages of alice's that are missing here: 2"),
        ("room", "words 3"),
    ]
