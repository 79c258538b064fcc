"""What is written beside a capture's frames, for whoever opens it: where a secret was typed, and what came of it.

Made after the verdict, from the referee's evidence. A remark names the canary and whoever read it, and never repeats
it: at most stages the words cannot be read in the frame, and a comment should not give away what the wire does not.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from attacks import Position
from lab.capture import Recording
from lab.referee import Evidence

READERS: Final[Mapping[Position, str]] = {"tap": "Eve", "server": "the server", "insider": "Carol", "departed": "Carol"}
"""Who an attacker in this position is; Mallory in all others."""
TOO_COMMON: Final = "weak-password"
"""This one is drawn from the words that many people choose, so it may stand anywhere."""


class ScreenRow(NamedTuple):
    """A row that came up on somebody's screen, and the number of the frame that crossed the wire next."""

    next_frame: int
    who: str
    text: str

    @property
    def typed(self) -> bool:
        """Did they type it themselves?"""
        return self.text.startswith(f"{self.who}> ")


def remark(
    recording: Recording,
    position: Position,
    canaries: Mapping[str, str],
    rows: Sequence[ScreenRow],
    evidence: Sequence[Evidence],
) -> None:
    """Comment the frames of a recording, from what came up on the screens meanwhile and from the referee's evidence."""
    names = {secret: f"canary {n} ({kind})" for n, (kind, secret) in enumerate(canaries.items(), 1)}
    names.pop(canaries.get(TOO_COMMON, ""), None)
    came_next: dict[str, int] = {}
    for row in (row for row in rows if row.typed):
        for secret in (secret for secret in names if secret in row.text):
            recording.comment(row.next_frame, f"{row.who.title()} has just typed {names[secret]}")
            came_next.setdefault(secret, row.next_frame)
    for seen in evidence:
        if seen.where == "attacker":
            _read(recording, READERS.get(position, "Mallory"), names, came_next, seen)
        else:
            _on_screen(recording, names, rows, seen)


def _read(
    recording: Recording, reader: str, names: Mapping[str, str], came_next: Mapping[str, int], seen: Evidence
) -> None:
    """Whoever attacks has read this: said where it stands in the clear, and else where it was typed."""
    for secret in (secret for secret in names if secret in seen.seen):
        for number in seen.frames:
            recording.comment(number, f"{names[secret]}, read by {reader}")
        if not seen.frames and secret in came_next:
            recording.comment(came_next[secret], f"{names[secret]}, read by {reader}, though not in the clear here")


def _on_screen(recording: Recording, names: Mapping[str, str], rows: Sequence[ScreenRow], seen: Evidence) -> None:
    """This stood on a screen: said where its words can be read, and else at the last frame before it came up."""
    words = _named(seen.seen, names)
    for number in seen.frames:
        recording.comment(number, f"{seen.where}: {words}")
    for row in rows if not seen.frames else ():
        there = seen.where == f"{row.who}'s screen" and seen.seen.startswith(row.text)  # of a long line, its first row
        if there and not row.typed:
            recording.comment(row.next_frame - 1, f"after this, on {seen.where}: {words}")


def _named(text: str, names: Mapping[str, str]) -> str:
    for secret, name in names.items():
        text = text.replace(secret, f"‹{name}›")
    return text
