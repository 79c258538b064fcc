"""`stages/<package>/quiz.toml`: the questions of a handout, declared once and read strictly.

    [[question]]
    id = "nonce-reuse"                # unique in the stage
    part = "explain"                  # predict, observe, explain, fix or further
    asks = "…"
    kind = "choice"                   # choice, short or run
    why = "said with a right answer"
    hints = ["a nudge", "half the way", "nearly the answer"]

    [[question.option]]               # of a choice: 3 to 5; where several are right, all of them must be chosen
    text = "…"
    right = true

    [[question.option]]
    text = "…"
    says = "why that is wrong; for each wrong option, and for no right one"

    answers = ["argon2id"]            # of a short question: the spellings that are right
    otherwise = "what is said of any other wrong answer"
    [[question.wrong]]                # wrong answers that people give
    given = ["sha256", "sha-256"]
    says = "…"

    run = "sniffer"                   # of a run question: an attack, `demo` or `capture`; the last one is meant
    goal = "room"                     # where the attack has several; the first otherwise
    levers = "lan=switch"             # where the run is one under turned levers; one without any otherwise
    fact = "frame-of-room-canary"     # a name in `lab.run_facts.FACTS`

What is right is never written into a handout. A key that is not named here is an error, and so is an answer that
cannot be given.
"""

import re
import string
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

import stages
from common.errors import LabError
from stages import Stage

Part = Literal["predict", "observe", "explain", "fix", "further"]
PARTS: Final = ("predict", "observe", "explain", "fix", "further")
RESERVED: Final = {"q", "quit", "exit", "?", ""}
"""What a person types for something else than an answer."""
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Option(msgspec.Struct, forbid_unknown_fields=True):
    """What can be chosen."""

    text: Text
    right: bool = False
    says: str = ""


class Known(msgspec.Struct, forbid_unknown_fields=True):
    """A wrong answer that people give, in its spellings, and why it is wrong."""

    given: Annotated[list[Text], msgspec.Meta(min_length=1)]
    says: Text


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """One question of a handout."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+$")]
    part: Part
    asks: Text
    kind: Literal["choice", "short", "run"]
    why: Text
    hints: Annotated[list[Text], msgspec.Meta(min_length=3, max_length=3)]
    option: list[Option] = []
    answers: list[Text] = []
    wrong: list[Known] = []
    otherwise: str = ""
    run: str = ""
    fact: str = ""
    goal: str = ""
    levers: str = ""

    @property
    def several(self) -> bool:
        """Are several options right, all of which have to be chosen?"""
        return sum(option.right for option in self.option) > 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    question: list[Question] = []


def plain(answer: str) -> str:
    """An answer as it is compared: without case, punctuation at its ends, and superfluous space."""
    words = " ".join(answer.casefold().split())
    return words.strip(string.punctuation + " ") or words


def path_of(stage: Stage) -> Path:
    """Where the stage's questions stand."""
    return stage.folder / "quiz.toml"


@cache
def questions(stage: int) -> dict[str, Question]:
    """The stage's questions by their ids, in their order; none where it has no file yet. Raises LabError."""
    path = path_of(stages.find(stage))
    return read(path) if path.exists() else {}


def read(path: Path) -> dict[str, Question]:
    """The questions of a file. Raises LabError, which says what is wrong with which of them."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).question
    except (OSError, ValueError) as error:  # not TOML, not UTF-8, or not as declared
        raise LabError(f"{path} cannot be read: {_placed(path, str(error))}.") from None
    for question in found:
        faults = list(_faults(question))
        if faults:
            raise LabError(f"{path}, question {question.id}: {faults[0]}.")
    named = {question.id: question for question in found}
    if len(named) != len(found):
        twice = next(q.id for n, q in enumerate(found) if named[q.id] is not q)
        raise LabError(f"{path} has two questions {twice}; each needs an id of its own.")
    return named


def _placed(path: Path, error: str) -> str:
    """msgspec names the question by its number; a person looks for its id."""
    match = re.search(r"\$\.question\[(\d+)\]", error)
    if match is None:
        return error.rstrip(".")
    ids = re.findall(
        r'^\[\[question\]\]\s*\n(?:#.*\n|\s*\n)*id\s*=\s*"([^"]*)"', path.read_text(encoding="utf-8"), re.M
    )
    number = int(match[1])
    return f"{error.rstrip('.')} ({ids[number]})" if number < len(ids) else error.rstrip(".")


def _faults(question: Question) -> list[str]:
    """What is wrong with a question, beyond its types."""
    if question.kind == "choice":
        return _of_choice(question) + _not_of_it(
            question, "answers", "wrong", "otherwise", "run", "fact", "goal", "levers"
        )
    if question.kind == "short":
        return _of_short(question) + _not_of_it(question, "option", "run", "fact", "goal", "levers")
    faults = _not_of_it(question, "option", "answers", "wrong")
    return faults + [
        f"a run question has a {name}" for name in ("run", "fact", "otherwise") if not getattr(question, name)
    ]


def _of_choice(question: Question) -> list[str]:
    faults = []
    if not 3 <= len(question.option) <= 5:
        faults.append(f"a choice has 3 to 5 options, this has {len(question.option)}")
    if not any(option.right for option in question.option):
        faults.append("no option is right")
    if all(option.right for option in question.option):
        faults.append("no option is wrong")
    for option in question.option:
        if option.right == bool(option.says):
            has = "a right option needs no `says`" if option.right else "a wrong option says why it is wrong"
            faults.append(f"{has}: {option.text}")
    if len({plain(option.text) for option in question.option}) < len(question.option):
        faults.append("two options are the same")
    return faults


def _of_short(question: Question) -> list[str]:
    right = {plain(answer) for answer in question.answers}
    wrong = [plain(given) for known in question.wrong for given in known.given]
    faults = [] if right else ["a short question has answers"]
    faults += [] if question.otherwise else ["a short question says `otherwise`"]
    faults += [f"{given} is right and wrong" for given in wrong if given in right]
    faults += [f"{given} is wrong twice" for given in wrong if wrong.count(given) > 1]
    return faults + [f"{word} cannot be typed as an answer" for word in sorted({*right, *wrong} & RESERVED)]


def _not_of_it(question: Question, *fields: str) -> list[str]:
    return [f"a {question.kind} question has no {name}" for name in fields if getattr(question, name)]
