"""The referee: says whether a goal was reached, from canaries and from what the victims' screens show.

It looks at three things only: what the members really typed, what stands on their rendered screens, and, for
goals of reading, whether a fresh secret that the attack was never shown is among the texts that it claims.
What an attack says it did is never evidence.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from attacks import Claim
from common.session import Show
from common.terminal import rows
from lab.capture import Recording
from lab.scene import Scene


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen: where, what, and in which frames of the capture it can be read."""

    where: str
    seen: str
    frames: list[int]


@dataclass(slots=True)
class Finding:
    """The referee's word on one goal."""

    reached: bool
    reason: str
    evidence: list[Evidence] = field(default_factory=list)


Rule = Callable[[Scene, Claim, Recording], Finding]

VICTIM: Final = "bob"
CLAIMED: Final = "alice"


def _read(kind: str) -> Rule:
    """The canary of this kind is among what the attacker read."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        canary = scene.canaries[kind]
        found = next((text for text in claim.read if canary in text), None)
        if found is None:
            return Finding(False, f"nothing the attacker read has the secret of the {kind} message in it")
        evidence = Evidence("attacker", found, recording.numbers_of(canary))
        return Finding(True, f"the attacker read the secret of the {kind} message", [evidence])

    return rule


def _differences(scene: Scene, kind: str) -> tuple[Counter[str], Counter[str]]:
    """What Bob's screen shows from Alice, and what she typed, each with how often."""
    shown = Counter(scene.screens[VICTIM].of("room" if kind == "room" else "whisper", CLAIMED))
    typed = Counter(s.text for s in scene.spoken if (s.who, s.kind) == (CLAIMED, kind))
    return shown, typed


def _on_screen(text: str, kind: str, recording: Recording) -> Evidence:
    row = "".join(rows(Show(kind, text, sender=CLAIMED), sys.maxsize))
    return Evidence(f"{VICTIM}'s screen", row, recording.numbers_of(text))


def _typed(text: str, recording: Recording) -> Evidence:
    return Evidence(f"{CLAIMED}'s screen", f"{CLAIMED}> {text}", recording.numbers_of(text))


def _forged(kind: str) -> Rule:
    """Bob's screen shows, as Alice's, what she never typed."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        shown, typed = _differences(scene, kind)
        forged = [text for text in shown if text not in typed]
        if not forged:
            return Finding(False, "Bob's screen shows nothing from Alice that she did not type")
        seen = [_on_screen(text, kind, recording) for text in forged]
        return Finding(True, "Bob's screen shows words of Alice that she never typed", seen)

    return rule


def _altered(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Bob's screen shows other words in place of Alice's."""
    shown, typed = _differences(scene, "room")
    forged = [text for text in shown if text not in typed]
    missing = [text for text in typed if text not in shown]
    if not (forged and missing):
        return Finding(False, "Bob's screen shows Alice's words as she typed them")
    seen = [*(_typed(t, recording) for t in missing[:1]), *(_on_screen(t, "room", recording) for t in forged)]
    return Finding(True, "Bob's screen shows other words than Alice typed", seen)


def _inserted(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Bob's screen shows all that Alice typed, and more."""
    shown, typed = _differences(scene, "room")
    forged = [text for text in shown if text not in typed]
    if not forged or typed - shown:
        return Finding(False, "Bob's screen shows what Alice typed, and nothing more")
    seen = [_on_screen(text, "room", recording) for text in forged]
    return Finding(True, "Bob's screen shows, beside Alice's words, words that she never sent", seen)


def _replayed(kind: str) -> Rule:
    """Bob's screen shows something of Alice's more often than she typed it."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        shown, typed = _differences(scene, kind)
        again = [text for text in shown if text in typed and shown[text] > typed[text]]
        if not again:
            return Finding(False, "Bob's screen shows nothing of Alice's more often than she typed it")
        seen = [_on_screen(text, kind, recording) for text in again]
        return Finding(True, "Bob's screen shows twice what Alice typed once", seen)

    return rule


def _missed(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Alice said something while Bob was there, and it never stood on his screen."""
    shown, typed = _differences(scene, "room")
    missing = [text for text in typed if not shown[text]]
    if not missing:
        return Finding(False, "Bob's screen shows all that Alice typed")
    seen = [_typed(text, recording) for text in missing]
    return Finding(True, "Bob's screen never shows what Alice typed", seen)


RULES: Final[dict[str, Rule]] = {
    "read-room": _read("room"),
    "read-whisper": _read("whisper"),
    "forged-room": _forged("room"),
    "forged-whisper": _forged("whisper"),
    "missed-room": _missed,
    "altered-room": _altered,
    "inserted-room": _inserted,
    "replayed-room": _replayed("room"),
    "replayed-whisper": _replayed("whisper"),
}


def warned(scene: Scene) -> list[str]:
    """The alarms that stand on the members' screens."""
    return [f"{screen.name}: {text}" for screen in scene.screens.values() for text in screen.of("alarm")]


def control_faults(scene: Scene) -> list[str]:
    """What is wrong with a scene in which nobody attacked; empty when all arrived, once, and nobody was alarmed."""
    faults = [f"{s.who}'s message did not arrive: {s.text}" for s in scene.unheard]
    faults += [f"an alarm: {alarm}" for alarm in warned(scene)]
    for kind in ("room", "whisper"):
        shown, typed = _differences(scene, kind)
        if shown != typed:
            faults.append(f"Bob's screen does not show exactly what Alice typed ({kind})")
    return faults
