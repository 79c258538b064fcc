"""Questions in a terminal or through a pipe: what the quiz of a handout and the questions of the capture lab share.

One is asked after the other; Enter skips it, `?` helps, `q`, Ctrl-D or Ctrl-C end it.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import Final

from common.errors import LabError
from common.text import printable
from lab.report import Report

NOT_RIGHT: Final = 1
"""The exit status where an answer that was given with --answer is not right."""
STOP: Final = ("q", "quit", "exit")
TELL_AT: Final = 3
"""With which wrong answer the right one is told."""


def pairs(given: Sequence[str], example: str) -> list[tuple[str, str]]:
    """What came as `--answer NAME=ANSWER`. Raises LabError."""
    found = [each.partition("=") for each in given]
    for name, equals, _ in found:
        if not equals:
            raise LabError(f"--answer takes NAME=ANSWER, as in {example}; {printable(name)} is not.")
    return [(name, answer) for name, _, answer in found]


def lines(*, on_terminal: bool) -> Callable[[], str]:
    """What reads the next answer; a prompt is for people. Raises EOFError at the end."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if on_terminal and sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - input() lets a person correct what they type
        return lambda: input("> ")
    return input


def say(report: Report, text: str, style: str = "") -> None:
    """Paragraphs; what stands back is to be copied, and no line of it is broken."""
    for line in text.splitlines():
        if line.startswith(" "):
            report.line(line)
        else:
            report.paragraph(line, style)


def outcome(tries: int, *, right: bool, told: bool) -> str:
    """What came of a question that was answered so many times; nothing where it was not."""
    if right:
        return "right" if tries == 1 else f"right, at try {tries}"
    if told:
        return "the answer was told"
    return f"not right ({tries} tr{'y' if tries == 1 else 'ies'})" if tries else ""
