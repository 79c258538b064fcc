"""What a person sees: a terminal of 80 columns, rendered, and read back by the referee.

The rows go through a real terminal emulator (pyte), so that what counts is what stands on the screen and not what a
program meant to put there.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import pyte

from common.session import Show
from common.terminal import Rows, rows, typed_row
from common.text import CONTINUATION

COLUMNS: Final = 80
ROWS: Final = 1000

_NAME: Final = r"(?P<who>[a-z0-9_-]{1,20})"
_FORMS: Final = {
    "room": re.compile(rf"{_NAME}: (?P<text>.*)"),
    "direct": re.compile(rf"{_NAME} \(to you\): (?P<text>.*)"),
    "whisper": re.compile(rf"{_NAME} \(whispers\): (?P<text>.*)"),
    "typed": re.compile(rf"{_NAME}> (?P<text>.*)"),
    "notice": re.compile(r"\* (?P<text>.*)"),
    "alarm": re.compile(r"! (?P<text>.*)"),
}

Kind = Literal["room", "direct", "whisper", "typed", "notice", "alarm"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as a person reads it: what kind it looks like, whom it seems to come from, its words."""

    kind: str
    who: str
    text: str


class Screen:
    """One person's terminal."""

    def __init__(self, name: str, watch: Callable[[str, str], None] | None = None, as_rows: Rows = rows) -> None:
        self.name = name
        self._as_rows = as_rows
        self.shown: list[Show] = []
        self._printed = 0
        self._read: list[Line] | None = None
        """The lines, once somebody has asked for them, until more is printed."""
        self._lowest = 0
        self._watch = watch
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self._changed = asyncio.Event()

    def show(self, show: Show) -> None:
        """The client shows something."""
        self.shown.append(show)
        self._print(self._as_rows(show, COLUMNS))
        self._changed.set()

    def typed(self, line: str) -> None:
        """The person types a line."""
        self._print(typed_row(self.name, line, COLUMNS))

    async def until(self, condition: Callable[[list[Show]], bool], seconds: float) -> bool:
        """Wait until what was shown meets a condition; False when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while not condition(self.shown):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def lines(self) -> list[Line]:
        """Every line that stands on the screen now, wrapped rows joined again."""
        if self._read is None:
            joined: list[str] = []
            for row in self._rows():
                if row.startswith(CONTINUATION) and joined:
                    joined[-1] += row.removeprefix(CONTINUATION)
                elif row:
                    joined.append(row)
            self._read = [_read(text) for text in joined]
        return self._read

    def _rows(self) -> list[str]:
        """The rows down to the lowest that the cursor has been on, without trailing blanks."""
        cells = self._screen.buffer
        return ["".join(cells[y][x].data for x in range(COLUMNS)).rstrip() for y in range(self._lowest + 1)]

    def of(self, kind: Kind, who: str | None = None) -> list[str]:
        """The words of all lines of one kind, from one person where `who` is given."""
        return [line.text for line in self.lines() if line.kind == kind and who in (None, line.who)]

    def _print(self, printed: list[str]) -> None:
        self._printed += len(printed)
        self._read = None
        if self._printed >= ROWS:
            raise RuntimeError(f"more was printed than the {ROWS} rows of a screen hold; nothing can be judged")
        for row in printed:
            self._stream.feed(row + "\r\n")
            self._lowest = max(self._lowest, self._screen.cursor.y)
            if self._watch:
                self._watch(self.name, row)


def _read(text: str) -> Line:
    for kind, form in _FORMS.items():
        match = form.fullmatch(text)
        if match:
            return Line(kind, match.groupdict().get("who", ""), match["text"])
    return Line("other", "", text)
