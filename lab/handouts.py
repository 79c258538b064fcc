"""`lab handouts`: the questions of `quiz.toml` written into the handouts, each where its block stands.

    <!-- question: nonce-reuse -->
    **Explain 2.** Two messages are sealed with AES-256-GCM under one key and the same nonce. What does a listener have?

    - The XOR of both texts
    - …
    <!-- /question -->

The block's place is the author's, its content the machine's. What is right is not in it: options stand in an order
that does not depend on that in the file, where authors tend to write the right one first.
"""

import hashlib
import re
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Final

import stages
from common.errors import LabError
from lab.question_file import Option, Question, questions
from lab.runs import write_text
from stages import Stage

WIDTH: Final = 120
_BLOCK: Final = re.compile(r"(<!-- question: ([^\n]*?) -->\n)(.*?)(<!-- /question -->)", re.DOTALL)


def write_all() -> list[str]:
    """Write every handout's blocks anew; the handouts that were changed by it. Raises LabError."""
    changed = []
    for stage in stages.catalogue().values():
        path = stage.folder / "README.md"
        old = path.read_text(encoding="utf-8")
        new = written(old, stage)
        if new != old:
            write_text(path, new)
            changed.append(f"stages/{stage.package}/README.md")
    return changed


def written(text: str, stage: Stage) -> str:
    """A handout with its blocks written anew. Raises LabError where blocks and questions are not the same, in order."""
    there = questions(stage.number)
    places = [match[2] for match in _BLOCK.finditer(text)]
    _compare(places, list(there), stage)
    numbers = _numbers(there)
    return _BLOCK.sub(lambda m: f"{m[1]}{block(there[m[2]], numbers[m[2]], stage)}\n{m[4]}", text)


def block(question: Question, number: int, stage: Stage) -> str:
    """One question as the handout has it."""
    several = " (Choose all that hold.)" if question.several else ""
    run = f" *({_from(question, stage)})*" if question.kind == "run" else ""
    lines = [_wrapped(f"**{question.part.capitalize()} {number}.** {question.asks}{several}{run}")]
    if question.kind == "choice":
        lines += ["", *(_wrapped(f"- {option.text}") for option in sorted(question.option, key=_place))]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    """As the rest of a handout; what is in backticks may break, as it does there."""
    rest = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, WIDTH, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)


def _from(question: Question, stage: Stage) -> str:
    goal = f" GOAL={question.goal}" if question.goal else ""
    levers = f' LEVERS="{question.levers}"' if question.levers else ""
    return f"From your own last run of `make stage-{stage.number} {question.run}{goal}{levers}`."


def _place(option: Option) -> str:
    return hashlib.sha256(option.text.encode()).hexdigest()


def _numbers(there: Mapping[str, Question]) -> dict[str, int]:
    """Predict 1, Predict 2, Explain 1 …"""
    met: Counter[str] = Counter()
    numbers = {}
    for name, question in there.items():
        met[question.part] += 1
        numbers[name] = met[question.part]
    return numbers


def _compare(places: list[str], there: list[str], stage: Stage) -> None:
    """Raises LabError, which says what to do."""
    handout, file = f"stages/{stage.package}/README.md", "quiz.toml"
    for name in places:
        if name not in there:
            raise LabError(f"{handout} has a block for {name}, and {file} no such question.")
        if places.count(name) > 1:
            raise LabError(f"{handout} has two blocks for {name}; take one away.")
    for name in there:
        if name not in places:
            raise LabError(
                f"{handout} has no block for {name}; put <!-- question: {name} --> and <!-- /question -->, each on a "
                "line of its own, where it belongs."
            )
    if places != there:
        first = next(name for name, other in zip(places, there, strict=True) if name != other)
        raise LabError(
            f"{handout} and {file} have their questions in another order, from {first} on; make it the same."
        )
