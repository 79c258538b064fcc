"""What a fact of a run is: the answer, the wrong ones that people give, and how an answer is read."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lab.answers import Unreadable, Value, frame_number, number
from lab.last_run import Absent, Run
from lab.question_file import plain


@dataclass(frozen=True)
class Fact:
    """The answer that a run has. `read` makes an answer of what was typed, or raises Unreadable."""

    right: Collection[Value]
    wrong: Sequence[tuple[Collection[Value], str]] = ()
    read: Callable[[str], Value] = number

    @property
    def shown(self) -> str:
        """The answer, as it is told."""
        return str(next(iter(self.right)))


def words(text: str) -> str:
    """An answer in words, compared without case and punctuation."""
    return plain(text)


def exact(text: str) -> str:
    """An answer of which every letter counts, such as base64."""
    typed = text.strip().strip("\"'")
    if not typed:
        raise Unreadable("That is nothing.")
    return typed


def frames_of(numbers: Sequence[int], what: str, run: Run) -> Fact:
    """The first of these frames, which are of `what`; the later ones are known. Raises Absent where there is none."""
    if not numbers:
        raise Absent(f"There is no frame of {what} in {run.path}.")
    return Fact({numbers[0]}, [(numbers[1:], "{n} comes later; the first is asked for.")], frame_number)
