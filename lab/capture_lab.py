"""`lab stage-1 capture`: a conversation for a learner, and what two network cards heard of it.

Alice is client 1. She, Bob and Carol say more or less the same in every run, but how much before what, how long, and
to whom is drawn anew: the answers to the questions (`lab.questions`) belong to one capture and to no other. The two
files have no comments and stand without a transcript and without secrets, since those would be the answers.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from common.levers import Levers
from lab import pcapng
from lab.bench import Bench
from lab.capture import Recording
from lab.drawn import Drawn
from lab.facts import CLIENT_FILE, SERVER_FILE
from lab.referee import warned
from lab.scene import MEMBERS, Moments, Scene, SceneFoothold
from stages import Stage

SEGMENT: Final = 1448
"""What an Ethernet frame holds of a TCP stream, with timestamps."""
LONGEST: Final = 3900
"""A text that every stage takes."""
SMALL_TALK: Final = ("Hello!", "Is it Monday already?", "I brought cake.", "Who has the key to the lab?", "Rain again.")


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody types: to the room, or, with `to`, as a whisper. A `{canary}` in it is the run's own."""

    who: str
    text: str
    to: str = ""


def conversation(chance: Random) -> list[Line]:
    """What is said once all are there. Client 1's third line to the room is long; one of her whispers has canary 2."""
    friend, other = chance.sample(MEMBERS[1:], 2)
    talk = [Line(chance.choice(MEMBERS[1:]), chance.choice(SMALL_TALK)) for _ in range(chance.randrange(13))]
    asides = [Line("alice", _words(chance, 3, 60), friend) for _ in range(chance.randrange(2, 5))]
    asides += [Line(friend, _words(chance, 3, 60), "alice") for _ in range(chance.randrange(1, 4))]
    asides += [Line("alice", _words(chance, 3, 60), other)]
    asides.insert(chance.randrange(len(asides) + 1), Line("alice", "The safe opens with {whisper}.", friend))
    chance.shuffle(asides)
    # In 1, 2 or 3 segments, and never so near to the edge that a number in it would decide.
    size = SEGMENT * chance.randrange(3) + chance.randrange(300, LONGEST - 2 * SEGMENT)
    return [
        *talk,
        Line("alice", "Good morning! The door code is {room}."),
        Line("alice", _words(chance, 10, 120), friend),
        Line("alice", "I typed up the minutes of our last meeting."),
        Line("alice", _words(chance, size, size)),
        *asides,
        Line("bob", "Thanks, Alice."),
        Line("alice", "I have to go now."),
    ]


def _words(chance: Random, shortest: int, longest: int) -> str:
    """So many characters that look like words, and begin and end with a letter."""
    size = chance.randint(shortest, longest)
    return "".join(
        " " if at % 7 == 6 and at < size - 1 else chance.choice(string.ascii_lowercase) for at in range(size)
    )


@dataclass
class LearnersScene(Scene):
    """The conversation of the capture lab; nobody attacks."""

    lines: Sequence[Line] = field(default_factory=list)

    async def _script(self, cast: list[str], foothold: SceneFoothold | None, moment: Moments) -> None:
        for name in MEMBERS:
            await self._join(name)
        if self.levers.get("pinning") == "verified":
            await self._verify_each_other()
        for line in self.lines:
            text = line.text.format(**self.canaries)
            if line.to:
                await self.whisper(line.who, line.to, text)
            else:
                await self.say(line.who, text)
        for name in MEMBERS:
            await self._leave(name)


def _faults(scene: Scene) -> list[str]:
    """What went wrong in a scene in which nobody attacked."""
    lost = [f"{spoken.who}'s message did not arrive: {spoken.text}" for spoken in scene.unheard]
    return [*lost, *(f"an alarm: {alarm}" for alarm in warned(scene))]


async def play(
    bench: Bench, stage: Stage, levers: Levers, lines: Sequence[Line] | None = None, drawn: Drawn | None = None
) -> Scene:
    """Play a conversation; its frames are the bench's recording "control". Raises LabError where not all arrived.

    lines: what is said; drawn where none are given. drawn: where all that is drawn comes from; anew if not given.
    """
    draw = drawn or Drawn()
    said = conversation(draw.chance()) if lines is None else lines
    return await bench.control(stage, levers, judge=_faults, made=partial(LearnersScene, lines=said, drawn=draw))


def write(recording: Recording, folder: Path) -> None:
    """Write what client 1's and the server's card heard into this folder, without what is known beyond that."""
    for name, host in ((CLIENT_FILE, "alice"), (SERVER_FILE, "server")):
        heard = (frame._replace(comments=()) for frame in recording.heard_by(host))
        pcapng.write(folder / name, f"{host} eth0", heard)
