"""The referee: says whether a goal was reached, from canaries and from what the victims' screens show.

It looks at three things only: what the members really typed, what stands on their rendered screens, and, for
goals of reading, whether a fresh secret that the attack was never shown is among the texts that it claims.
What an attack says it did is never evidence.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from attacks import CPU_SECONDS, TRIALS, Claim
from common.session import Show
from common.terminal import rows
from common.text import skeleton
from lab.capture import Recording
from lab.scene import MEMBERS, Scene
from lab.screens import Screen
from lab.weak_password import rank


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
TRIALS_RIGHT: Final = 18
"""Of the TRIALS; with a coin of one's own that happens once in 5,000 times."""
MISSING: Final = re.compile(r"\bmissing\b|\bnot delivered\b")
"""A notice with these words says that something did not arrive."""


def _read(kind: str) -> Rule:
    """The canary of this kind is among what the attacker read."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        canary = scene.canaries[kind]
        found = next((text for text in claim.read if canary in text), None)
        if found is None:
            unsent = _unsent(scene, canary)
            reason = f"nothing the attacker read has the secret of the {kind} message in it"
            return Finding(False, f"{reason}; it was typed, and reported unsent" if unsent else reason, unsent)
        evidence = Evidence("attacker", found, recording.numbers_of(canary))
        return Finding(True, f"the attacker read the secret of the {kind} message", [evidence])

    return rule


def _unsent(scene: Scene, text: str) -> list[Evidence]:
    """Where somebody typed this, and their screen tells that something of theirs was not sent."""
    typed = {spoken.who for spoken in scene.spoken if text in spoken.text}
    alarms = [(screen, alarm) for screen in scene.screens.values() for alarm in screen.of("alarm")]
    return [
        Evidence(f"{screen.name}'s screen", f"! {alarm}", [])
        for screen, alarm in alarms
        if screen.name in typed and alarm.startswith("Not sent to ")
    ]


def _differences(scene: Scene, kind: str) -> tuple[Counter[str], Counter[str]]:
    """What Bob's screen shows from Alice, and what she typed, each with how often."""
    shown = Counter(scene.screens[VICTIM].of("room" if kind == "room" else "whisper", CLAIMED))
    typed = Counter(s.text for s in scene.spoken if (s.who, s.kind) == (CLAIMED, kind))
    return shown, typed


def _on_screen(text: str, kind: str, recording: Recording) -> Evidence:
    row = "".join(rows(Show(kind, text, sender=CLAIMED), sys.maxsize))
    return Evidence(f"{VICTIM}'s screen", row, recording.numbers_of(text))


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


def _look_alike(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Bob's screen shows a line in the room from a name that is not Alice's, and that he would read as hers."""
    alike = [
        line
        for line in scene.screens[VICTIM].lines()
        if line.kind == "room" and line.who != CLAIMED and skeleton(line.who) == skeleton(CLAIMED)
    ]
    if not alike:
        return Finding(False, "Bob's screen shows no name that looks like Alice's")
    seen = [Evidence(f"{VICTIM}'s screen", f"{e.who}: {e.text}", recording.numbers_of(e.text)) for e in alike]
    return Finding(True, "Bob's screen shows words under a name that looks like Alice's", seen)


def _altered(kind: str) -> Rule:
    """Bob's screen shows other words in place of Alice's."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        shown, typed = _differences(scene, kind)
        forged = [text for text in shown if text not in typed]
        missing = [text for text in typed if text not in shown]
        if not (forged and missing):
            return Finding(False, "Bob's screen shows Alice's words as she typed them")
        seen = [*_typed(missing[:1], recording), *(_on_screen(text, kind, recording) for text in forged)]
        return Finding(True, "Bob's screen shows other words than Alice typed", seen)

    return rule


def _either(*rules: Rule) -> Rule:
    """At least one of these was reached; the first that was is the reason."""

    def rule(scene: Scene, claim: Claim, recording: Recording) -> Finding:
        findings = [judge(scene, claim, recording) for judge in rules]
        reached = next((finding for finding in findings if finding.reached), None)
        return reached or Finding(False, ", and ".join(finding.reason for finding in findings))

    return rule


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
    return Finding(True, "Bob's screen never shows what Alice typed", _typed(missing, recording))


def _tells(screen: Screen) -> list[str]:
    """What on this screen tells a person that something is wrong: every alarm, and a notice of something missing."""
    missing = [text for text in screen.of("notice") if MISSING.search(text)]
    return [f"{screen.name}: {text}" for text in (*screen.of("alarm"), *missing)]


def _dropped(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Bob lacks something of Alice's, has something later, and his screen tells nothing of it."""
    shown, _ = _differences(scene, "room")
    typed = [s.text for s in scene.spoken if (s.who, s.kind) == (CLAIMED, "room")]
    arrived = [i for i, text in enumerate(typed) if shown[text]]
    dropped = [text for text in typed[: max(arrived, default=0)] if not shown[text]]
    if not dropped:
        return Finding(False, "Bob's screen shows all of Alice's words, up to the last that he has")
    if told := _tells(scene.screens[VICTIM]):
        return Finding(False, f"a message is missing, and Bob is told ({told[0]})")
    return Finding(
        True, "Bob lacks what Alice typed, has later words of hers, and was not told", _typed(dropped, recording)
    )


def _isolated(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """From some moment on Bob has nothing of Alice's, and nobody's screen tells anything of it."""
    shown, _ = _differences(scene, "room")
    typed = [s.text for s in scene.spoken if (s.who, s.kind) == (CLAIMED, "room")]
    withheld = typed[max((i + 1 for i, text in enumerate(typed) if shown[text]), default=0) :]
    if not withheld:
        return Finding(False, "Bob's screen shows the last that Alice typed")
    if told := warned(scene):
        return Finding(False, f"messages are missing, and somebody is told ({told[0]})")
    return Finding(True, "Bob has none of Alice's later words, and nobody was told", _typed(withheld, recording))


def _flowed_through(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Alice's words for the server, and the server's for her, came to Mallory's card, and went on: all of the former,
    and what everybody said arrived."""
    path = scene.path
    if path is None:
        return Finding(False, "nobody listened at Mallory's card, which only the LAN has")
    there, back = path.through(path.came)
    if not (there and back):
        return Finding(False, path.why_not(recording))
    seen_there, seen_back = path.through(recording)
    seen = [
        Evidence("mallory's card", f"{len(there)} frames with words from Alice for the server", seen_there),
        Evidence("mallory's card", f"{len(back)} frames with words from the server, on their way back", seen_back),
    ]
    if scene.unheard:
        lost = f"{len(scene.unheard)} of {len(scene.spoken)} things that were said"
        return Finding(False, f"frames came to Mallory, but did not go on: {lost} never arrived", seen)
    if past := path.past(recording):
        return Finding(False, f"{len(there)} of Alice's frames came to Mallory, and {past} went past her", seen)
    return Finding(True, "traffic between Alice and the server flowed through Mallory, and arrived", seen)


def _typed(texts: list[str], recording: Recording) -> list[Evidence]:
    return [Evidence(f"{CLAIMED}'s screen", f"{CLAIMED}> {text}", recording.numbers_of(text)) for text in texts]


def _guessed(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Enough of exactly so many trials were guessed right."""
    if len(scene.coins) != TRIALS or len(claim.guesses) != TRIALS:
        return Finding(False, f"{len(scene.coins)} trials with {len(claim.guesses)} guesses, and {TRIALS} are judged")
    right = sum(coin == guess for coin, guess in zip(scene.coins, claim.guesses, strict=True))
    frames = recording.numbers_of(scene.spoken[-1].text) if right >= TRIALS_RIGHT and scene.spoken else []
    seen = Evidence("attacker", f"{right / TRIALS:.0%} of the trials were guessed right", frames)
    if right < TRIALS_RIGHT:
        return Finding(False, f"fewer than {TRIALS_RIGHT} of {TRIALS} trials were guessed right", [seen])
    return Finding(True, f"at least {TRIALS_RIGHT} of {TRIALS} trials were guessed right", [seen])


def _cracked(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Bob's password is named, with no more than one guess for each account, and it cost no more than it may."""
    if len(claim.read) > len(MEMBERS):
        return Finding(False, f"{len(claim.read)} passwords are claimed for {len(MEMBERS)} accounts")
    password = scene.canaries["weak-password"]
    if f"{VICTIM}: {password}" not in claim.read:
        return Finding(False, f"the attacker does not know Bob's password after {CPU_SECONDS:g} s of a processor")
    if scene.cpu_seconds > CPU_SECONDS:
        return Finding(False, f"Bob's password was found, but not within {CPU_SECONDS:g} s of a processor")
    seen = Evidence("attacker", f"Bob's password, number {rank(password)} of the most common ones", [])
    return Finding(True, f"the attacker found Bob's password within {CPU_SECONDS:g} s of a processor", [seen])


def _starved(scene: Scene, claim: Claim, recording: Recording) -> Finding:
    """Something that an honest member said was not on the others' screens in time, or a newcomer was not let in."""
    if scene.unheard:
        said = scene.unheard[0]
        why = f"what {said.who} said was not on every screen within {scene.patience:g} s"
        return Finding(True, why, [Evidence(f"{said.who}'s screen", said.text, [])])
    if scene.kept_out:
        return Finding(True, "a newcomer was not let in", [Evidence("the newcomer's screen", scene.kept_out, [])])
    return Finding(
        False, f"all that was said arrived, at the latest after {scene.slowest:.1f} s, and a newcomer got in"
    )


RULES: Final[dict[str, Rule]] = {
    "guessed": _guessed,
    "cracked": _cracked,
    "read-password": _read("password"),
    "read-room": _read("room"),
    "read-later-room": _read("later-room"),
    "read-whisper": _read("whisper"),
    "read-later-whisper": _read("later-whisper"),
    "forged-room": _forged("room"),
    "forged-whisper": _forged("whisper"),
    "look-alike-room": _look_alike,
    "taken-for-server": _either(_read("password"), _altered("room")),
    "flowed-through": _flowed_through,
    "missed-room": _missed,
    "starved": _starved,
    "dropped-room": _dropped,
    "isolated-room": _isolated,
    "altered-room": _altered("room"),
    "read-or-altered-whisper": _either(_read("whisper"), _altered("whisper")),
    "inserted-room": _inserted,
    "replayed-room": _replayed("room"),
    "replayed-whisper": _replayed("whisper"),
}


def warned(scene: Scene) -> list[str]:
    """What stands on the members' screens of alarms, and of notices that something is missing."""
    return [told for screen in scene.screens.values() for told in _tells(screen)]


def control_faults(scene: Scene) -> list[str]:
    """What is wrong with a scene in which nobody attacked; empty when all arrived, once, and nobody was alarmed."""
    faults = [f"{s.who}'s message did not arrive: {s.text}" for s in scene.unheard]
    return [*faults, *(f"an alarm: {alarm}" for alarm in warned(scene)), *victim_faults(scene)]


def victim_faults(scene: Scene) -> list[str]:
    """What of Alice's did not come to Bob as she typed it: what every attack is judged by, also under turned levers, by
    which others may miss something (framing=none, where the room gets one message for each member)."""
    faults = []
    for kind in ("room", "whisper"):
        shown, typed = _differences(scene, kind)
        if shown != typed:
            faults.append(f"Bob's screen does not show exactly what Alice typed ({kind})")
    return faults
