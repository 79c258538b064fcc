"""Is this answer right, and if not, what is it? One function for each kind of question of a handout.

An answer that is no answer of its kind raises Unreadable and does not count. What a run question asks is computed when
it is judged; where the learner has no such run, Absent says how to make it.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import stages
from common.text import printable
from lab.answers import Unreadable, Value
from lab.fact import Fact
from lab.last_run import Run, last_run
from lab.question_file import Option, Question, plain
from lab.run_facts import compute

LETTER: Final = re.compile(r"\s*\(?[a-eA-E][).]?\s*")
"""How one of a choice's options is named."""


class Judged(NamedTuple):
    """The word about one answer; `says` tells why it is wrong, and is empty where it is right."""

    right: bool
    says: str = ""


def judge(stage: int, question: Question, typed: str, order: Sequence[Option] = ()) -> Judged:
    """Judge what was typed. order: a choice's options as they were shown, for letters; without it, texts only.

    Raises Unreadable and Absent.
    """
    if question.kind == "choice":
        return _choice(question, _chosen(question, typed, order))
    if LETTER.fullmatch(typed) and plain(typed) not in map(plain, question.answers):
        raise Unreadable("There is nothing to choose from here: type the answer itself, a word or a number.")
    if question.kind == "short":
        return _short(question, plain(typed))
    return _run(question, fact_of(stage, question), typed)


def run_of(stage: int, question: Question) -> Run:
    """The learner's last run that a run question asks about. Raises Absent."""
    return last_run(stages.find(stage), question.run, question.goal, question.levers)


def fact_of(stage: int, question: Question) -> Fact:
    """What a run question asks, in that run. Raises Absent."""
    return compute(question.fact, run_of(stage, question))


def answer_of(stage: int, question: Question) -> str:
    """The right answer, for whoever has tried often enough. Raises Absent."""
    if question.kind == "choice":
        return " And: ".join(option.text for option in question.option if option.right)
    return question.answers[0] if question.kind == "short" else fact_of(stage, question).shown


def _chosen(question: Question, typed: str, order: Sequence[Option]) -> list[Option]:
    if order and question.several and _letters_of(typed, order):
        typed = " ".join(typed.strip())  # bcd: b, c and d
    words = [word.strip("().:") for word in re.split(r"[\s,;+&]+|\band\b", typed.casefold()) if word.strip("().:")]
    if order and words and all(re.fullmatch(r"[a-z]", word) for word in words):
        found = [_lettered(word, order) for word in dict.fromkeys(words)]
    else:
        found = [_named(part, question.option) for part in typed.split("|")]
    if len(found) > 1 and not question.several:
        raise Unreadable("One of them is right: choose one.")
    return found


def _letters_of(typed: str, order: Sequence[Option]) -> bool:
    """Is it nothing but letters of the options, each once?"""
    letters = typed.strip().casefold()
    places = {ord(letter) - ord("a") for letter in letters}
    return bool(letters) and len(places) == len(letters) and all(0 <= place < len(order) for place in places)


def _lettered(letter: str, order: Sequence[Option]) -> Option:
    place = ord(letter) - ord("a")
    if place >= len(order):
        raise Unreadable(f"There is no {letter}); choose from a) to {chr(ord('a') + len(order) - 1)}).")
    return order[place]


def _named(text: str, options: Sequence[Option]) -> Option:
    """An option by its text, or by how it begins and no other does."""
    wanted = plain(text)
    exactly = [option for option in options if plain(option.text) == wanted]
    begins = [option for option in options if wanted and plain(option.text).startswith(wanted)]
    found = exactly or begins
    if len(found) != 1:
        many = "begins several of the options" if found else "is none of the options"
        raise Unreadable(f"“{printable(text.strip())[:60]}” {many}; choose by letter, or by the option's words.")
    return found[0]


def _choice(question: Question, chosen: Sequence[Option]) -> Judged:
    wrong = [option for option in chosen if not option.right]
    if wrong:
        return Judged(False, "\n".join(_said_of(option, alone=len(chosen) == 1) for option in wrong))
    missing = sum(option.right for option in question.option) - len(chosen)
    return Judged(not missing, f"Right as far as it goes, but {missing} more of them hold." if missing else "")


def _said_of(option: Option, *, alone: bool) -> str:
    return option.says if alone else f"{option.text}: {option.says}"


def _short(question: Question, typed: str) -> Judged:
    if typed in {plain(answer) for answer in question.answers}:
        return Judged(True)
    for known in question.wrong:
        if typed in {plain(given) for given in known.given}:
            return Judged(False, known.says)
    return Judged(False, question.otherwise)


def _plainly(value: Value) -> str:
    """As it was typed: ports and frame numbers are written without gaps."""
    return str(value) if isinstance(value, int) else printable(value)


def _run(question: Question, fact: Fact, typed: str) -> Judged:
    value = fact.read(typed)
    if value in fact.right:
        return Judged(True)
    for values, says in fact.wrong:
        if value in values:
            return Judged(False, says.replace("{n}", _plainly(value)))
    near = isinstance(value, int) and any(isinstance(right, int) and abs(value - right) == 1 for right in fact.right)
    beside = f"{_plainly(value)} is one beside it. " if near else ""
    return Judged(False, f"{beside}{question.otherwise}")
