"""quiz.toml is read strictly: whatever would be a question without a checked answer is refused, by its id."""

from pathlib import Path

import pytest

from common.errors import LabError
from lab.answers import Unreadable
from lab.judging import judge
from lab.question_file import plain, read

CHOICE = """
[[question]]
id = "which"
part = "predict"
kind = "choice"
asks = "Which?"
why = "Because."
hints = ["one", "two", "three"]
[[question.option]]
text = "This"
right = true
[[question.option]]
text = "That"
says = "That is not it."
[[question.option]]
text = "Something else"
says = "Nor is this."
"""
SHORT = """
[[question]]
id = "name"
part = "explain"
kind = "short"
asks = "What is it called?"
answers = ["Argon2id"]
otherwise = "The name of a function is asked for."
why = "Because."
hints = ["one", "two", "three"]
[[question.wrong]]
given = ["SHA-256", "sha256"]
says = "That one is fast."
"""
RUN = """
[[question]]
id = "frame"
part = "observe"
kind = "run"
asks = "Which frame?"
run = "sniffer"
fact = "frame-of-room-canary"
otherwise = "Look."
why = "Because."
hints = ["one", "two", "three"]
"""


def write(folder: Path, text: str) -> Path:
    """A file of questions."""
    file = folder / "quiz.toml"
    file.write_text(text)
    return file


def test_each_kind_of_question_is_read(tmp_path: Path) -> None:
    found = read(write(tmp_path, CHOICE + SHORT + RUN))
    assert [(name, question.kind) for name, question in found.items()] == [
        ("which", "choice"),
        ("name", "short"),
        ("frame", "run"),
    ]


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"),
    [
        (CHOICE, "kind =", "kinds =", "unknown field `kinds`.*which"),
        (CHOICE, 'id = "which"', 'id = "Which one"', "id"),
        (CHOICE, '"predict"', '"guess"', "Invalid enum value 'guess'"),
        (CHOICE, ', "three"]', "]", "length >= 3"),
        (CHOICE, '"three"]', '"three", "four"]', "length <= 3"),
        (CHOICE, '"three"]', '""]', "length >= 1"),
        (CHOICE, "right = true", "", "which: no option is right"),
        (CHOICE, 'says = "Nor is this."', "", "a wrong option says why it is wrong: Something else"),
        (CHOICE, "right = true", 'right = true\nsays = "Yes."', "a right option needs no `says`: This"),
        (CHOICE, "Something else", "this", "two options are the same"),
        (CHOICE, '[[question.option]]\ntext = "Something else"\nsays = "Nor is this."\n', "", "has 2"),
        (CHOICE, 'why = "Because."', 'why = "Because."\nanswers = ["This"]', "a choice question has no answers"),
        (CHOICE, 'why = "Because."', "", "missing required field `why`"),
        (SHORT, 'answers = ["Argon2id"]', "answers = []", "a short question has answers"),
        (SHORT, 'answers = ["Argon2id"]', 'answers = ["q"]', "q cannot be typed as an answer"),
        (SHORT, 'answers = ["Argon2id"]', 'answers = ["Sha-256."]', "sha-256 is right and wrong"),
        (SHORT, '"SHA-256", "sha256"', '"sha256", "SHA256"', "sha256 is wrong twice"),
        (SHORT, 'otherwise = "The name of a function is asked for."', "", "says `otherwise`"),
        (SHORT, 'says = "That one is fast."', "", "missing required field `says`"),
        (RUN, 'fact = "frame-of-room-canary"', "", "a run question has a fact"),
        (RUN, 'otherwise = "Look."', "", "a run question has a otherwise"),
        (RUN, 'otherwise = "Look."', 'otherwise = "Look."\nanswers = ["3"]', "a run question has no answers"),
        (RUN, "kind =", "kind", "cannot be read"),
        (RUN + RUN, "", "", "two questions frame"),
    ],
)
def test_question_that_cannot_be_asked_and_answered_is_refused(
    text: str, old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    assert old in text
    with pytest.raises(LabError, match=sentence):
        read(write(tmp_path, text.replace(old, new, 1)))


@pytest.mark.parametrize("typed", ["argon2id", " Argon2ID. ", "“argon2id”".strip("“”"), "`argon2id`"])
def test_short_answer_is_compared_without_case_punctuation_and_space(typed: str, tmp_path: Path) -> None:
    (question,) = read(write(tmp_path, SHORT)).values()
    assert judge(1, question, typed).right


def test_short_answer_that_is_wrong_is_told_what_it_is(tmp_path: Path) -> None:
    (question,) = read(write(tmp_path, SHORT)).values()
    assert judge(1, question, "SHA256").says == "That one is fast."
    assert judge(1, question, "bcrypt").says == "The name of a function is asked for."


@pytest.mark.parametrize(
    ("typed", "same"), [("  TCP\tand  UDP!", "tcp and udp"), ("?!", "?!"), ("/etc/hosts", "etc/hosts")]
)
def test_answers_are_made_plain(typed: str, same: str) -> None:
    assert plain(typed) == same


def test_choice_is_made_by_letter_or_by_words(tmp_path: Path) -> None:
    (question,) = read(write(tmp_path, CHOICE)).values()
    order = [question.option[n] for n in (2, 0, 1)]
    for typed in ("b", "B)", "(b).", "this", "This", "thi"):
        assert judge(1, question, typed, order).right, typed
    assert judge(1, question, "c", order).says == "That is not it."
    assert judge(1, question, "some", order).says == "Nor is this."


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("e", "There is no e"), ("a b", "choose one"), ("th", "begins several"), ("those", "is none of the options")],
)
def test_what_is_no_choice_is_said_to_be_none(typed: str, sentence: str, tmp_path: Path) -> None:
    (question,) = read(write(tmp_path, CHOICE)).values()
    with pytest.raises(Unreadable, match=sentence):
        judge(1, question, typed, question.option)


@pytest.mark.parametrize("typed", ["ab", "BA", "a b", "a,b"])
def test_letters_may_be_run_together_where_several_hold(typed: str, tmp_path: Path) -> None:
    both = CHOICE.replace('says = "That is not it."', "right = true")
    (question,) = read(write(tmp_path, both)).values()
    assert judge(1, question, typed, question.option).right


def test_letters_mean_nothing_where_no_order_was_shown(tmp_path: Path) -> None:
    (question,) = read(write(tmp_path, CHOICE)).values()
    with pytest.raises(Unreadable, match="is none of the options"):
        judge(1, question, "a")


def test_where_several_hold_all_of_them_must_be_chosen(tmp_path: Path) -> None:
    several = CHOICE.replace('says = "Nor is this."', "right = true")
    (question,) = read(write(tmp_path, several)).values()
    order = question.option
    assert judge(1, question, "a, c", order).right
    assert judge(1, question, "c and a", order).right
    assert judge(1, question, "this | something else").right
    assert judge(1, question, "a", order) == (False, "Right as far as it goes, but 1 more of them hold.")
    assert judge(1, question, "a b c", order) == (False, "That: That is not it.")
