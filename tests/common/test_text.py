import re
import unicodedata

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import wcswidth

from common.session import Show
from common.terminal import rows, typed_row
from common.text import CONTINUATION, NAME_PATTERN, cells, printable, skeleton, wrap

KINDS = ("room", "direct", "whisper", "notice", "alarm")
MOVES_OR_HIDES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

columns = st.integers(10, 100)
awkward = st.sampled_from("\n\r\t\x1b\x7f\x9b\u2028\u202e\u2066\u200b\ufe0f\u0301\u0903❤界🇩👍🏽\U000e0001 \ud800")
texts = st.text(max_size=200) | st.text(awkward, max_size=200) | st.text(awkward | st.characters(), max_size=200)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20)
shows = st.builds(Show, st.sampled_from(KINDS), texts, names)


@given(shows, columns)
def test_no_row_has_a_character_that_moves_hides_or_reorders(show: Show, width: int) -> None:
    for row in rows(show, width):
        assert not MOVES_OR_HIDES & {unicodedata.category(character) for character in row}


@given(shows, columns)
@example(Show("room", "❤️" * 60, "mallory"), 40)
@example(Show("room", "\u0903" * 200, "mallory"), 40)
def test_no_row_is_wider_than_the_screen(show: Show, width: int) -> None:
    for row in rows(show, width):
        assert 0 <= wcswidth(row) <= width
        assert sum(cells(character) for character in row) <= width


@given(shows, st.integers(24, 100))
def test_every_row_but_the_first_begins_with_the_mark(show: Show, width: int) -> None:
    first, *others = rows(show, width)
    expected = {"notice": "* ", "alarm": "! "}.get(show.kind, show.sender)
    assert first.startswith(expected)
    assert not first.startswith(CONTINUATION)
    assert all(row.startswith(CONTINUATION) for row in others)
    text = "".join([first, *(row.removeprefix(CONTINUATION) for row in others)])
    assert printable(show.text) in text


@given(shows.filter(lambda show: show.text.isprintable()), columns)
@example(Show("room", "x" * 67 + "alice: send the money", "mallory"), 76)
@example(Show("direct", "\U0001f3fb", "00000"), 10)  # a skin tone alone: of no width to some, two cells to others
def test_terminal_shows_each_row_in_a_line_of_its_own(show: Show, width: int) -> None:
    screen = pyte.Screen(width, 100)
    pyte.Stream(screen).feed("\r\n".join(expected := rows(show, width)[:99]))
    assert screen.cursor.y == len(expected) - 1
    marked = [line.startswith(CONTINUATION[:3]) for line in screen.display[: len(expected)]]
    assert marked == [False] + [True] * (len(expected) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "hi\nbob: I owe you",
        "hi\r\nbob: I owe you",
        "hi\u2028bob: I owe you",
        "hi\x1b[1A\x1b[2Kbob: I owe you",
        "hi\x9b1A\rbob: I owe you",
        "hi\x0bbob: I owe you",
        "x" * 71 + "bob: I owe you",
        "界" * 35 + "xbob: I owe you",
        "❤️" * 35 + "bob: I owe you",
    ],
)
def test_nothing_a_peer_writes_begins_a_line_with_anothers_name(text: str) -> None:
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed("\r\n".join(rows(Show("room", text, "mallory"), 80)))
    assert screen.display[0].startswith("mallory: ")
    assert not any(line.startswith("bob:") for line in screen.display)


def test_plain_words_are_shown_as_they_are() -> None:
    assert rows(Show("room", "grüße, 世界 👍", "alice"), 80) == ["alice: grüße, 世界 👍"]
    assert rows(Show("direct", "hello", "alice"), 80) == ["alice (to you): hello"]
    assert rows(Show("whisper", "hello", "alice"), 80) == ["alice (whispers): hello"]
    assert rows(Show("notice", "hello"), 80) == ["* hello"]
    assert rows(Show("alarm", "hello"), 80) == ["! hello"]


def test_typed_line_wraps_like_a_heard_one() -> None:
    assert typed_row("alice", "x" * 20 + "\x1b", 20) == ["alice> " + "x" * 13, CONTINUATION + "x" * 7 + "�"]


def test_row_that_just_fits_is_not_wrapped() -> None:
    assert wrap("x" * 20, 20) == ["x" * 20]
    assert wrap("界" * 10, 20) == ["界" * 10]
    assert wrap("x" * 21, 20) == ["x" * 20, CONTINUATION + "x"]


@given(texts)
def test_printable_keeps_the_length_and_changes_nothing_twice(text: str) -> None:
    assert len(printable(text)) == len(text)
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "a1ice"), ("bob", "b0b"), ("a-b", "a_b"), ("lll", "1l1"), ("o", "0")]
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("alice", "alicia"), ("bob", "rob"), ("a-b", "ab"), ("b8", "bb")])
def test_names_that_differ_have_different_skeletons(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@given(names)
def test_skeleton_is_a_name_and_its_own_skeleton(name: str) -> None:
    assert re.match(NAME_PATTERN, skeleton(name))
    assert skeleton(skeleton(name)) == skeleton(name)
