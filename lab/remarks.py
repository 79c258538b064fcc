"""What is written beside a capture's frames, for whoever opens it: where a secret was typed, and what came of it.

Made after the verdict, from the referee's evidence. A remark names the canary and whoever read it, and never repeats
it: at most stages the words cannot be read in the frame, and a comment should not give away what the wire does not.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from attacks import Position
from lab.capture import Recording
from lab.referee import Evidence

READERS: Final[Mapping[Position, str]] = {"tap": "Eve", "server": "the server", "insider": "Carol", "departed": "Carol"}
"""Who an attacker in this position is; Mallory in all others."""
TOO_COMMON: Final = "weak-password"
"""This one is drawn from the words that many people choose, so it may stand anywhere."""


def remark(
    recording: Recording,
    position: Position,
    canaries: Mapping[str, str],
    typed: Sequence[tuple[int, str, str]],
    evidence: Sequence[Evidence],
) -> None:
    """Comment the frames of a recording.

    typed: rows that stood on a screen when somebody typed them: the number of the frame that came next, who, the row.
    """
    names = {secret: f"canary {n} ({kind})" for n, (kind, secret) in enumerate(canaries.items(), 1)}
    names.pop(canaries.get(TOO_COMMON, ""), None)
    came_next: dict[str, int] = {}
    for number, who, row in typed:
        for secret in (secret for secret in names if secret in row):
            recording.comment(number, f"{who.title()} has just typed {names[secret]}")
            came_next.setdefault(secret, number)
    for seen in evidence:
        if seen.where == "attacker":
            _read(recording, READERS.get(position, "Mallory"), names, came_next, seen)
        else:
            for number in seen.frames:
                recording.comment(number, f"{seen.where}: {_named(seen.seen, names)}")


def _read(
    recording: Recording, reader: str, names: Mapping[str, str], came_next: Mapping[str, int], seen: Evidence
) -> None:
    """Whoever attacks has read this: said where it stands in the clear, and else where it was typed."""
    for secret in (secret for secret in names if secret in seen.seen):
        for number in seen.frames:
            recording.comment(number, f"{names[secret]}, read by {reader}")
        if not seen.frames and secret in came_next:
            recording.comment(came_next[secret], f"{names[secret]}, read by {reader}, though not in the clear here")


def _named(text: str, names: Mapping[str, str]) -> str:
    for secret, name in names.items():
        text = text.replace(secret, f"‹{name}›")
    return text
