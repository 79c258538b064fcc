"""What the lab report fills in: figures of the learner's own capture, and of the attacks that they ran."""

import json
import platform
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from attacks.packets import dissected
from attacks.pcap import frames
from common.errors import LabError
from common.lan import PREFIX
from common.session import Address
from common.text import printable
from lab import handed_in, progress
from lab.answers import spaced
from lab.diagram import Arrow
from lab.facts import Facts, Seen
from lab.flow import flow
from lab.question_file import questions as quiz
from lab.questions import RUNS
from lab.reading import name_of
from lab.runs import ROOT, write_text
from stages import Stage

RUNTIMES: Final = "runtimes.json"
"""What `report --measure` keeps in a run's folder: what `python -m benchmarks.runtimes --json` said."""
MEASURED_IN: Final = 60.0
"""Seconds, at most. Here it takes some 10."""
DNS_PORTS: Final = {53, 5053}
LONG: Final = 4
"""So many segments of one message, or of an ending, are drawn."""
TO_FILL_IN: Final = ". " * 18


@dataclass
class Figures:
    """One capture of client 1, and what is said about it in a report."""

    facts: Facts
    every: list[Arrow]
    """Every packet, as it may be drawn."""
    times: dict[int, float]
    """When each frame was heard, in seconds since 1970."""

    @classmethod
    def of(cls, capture: Path) -> "Figures":
        """Raises LabError where it is no capture of client 1's card."""
        facts = Facts.read(capture)
        every = flow(capture, stage=facts.stage.number, relative=True, first=0, follow="").arrows
        return cls(facts, every, {frame.number: frame.time for frame in frames(capture)})

    @property
    def stage(self) -> Stage:
        """The stage that it is a capture of."""
        return self.facts.stage

    @property
    def heading(self) -> str:
        """What the stage is called."""
        return f"stage {self.stage.number}, {self.stage.title.rstrip('.')}"

    @property
    def network(self) -> str:
        """Which of the lab's networks it was."""
        return "lan" if self.facts.client[0].startswith(f"{PREFIX}.") else "loopback"

    @cached_property
    def me(self) -> str:
        """Client 1's name."""
        return name_of(self.facts.client[0])

    @cached_property
    def dns(self) -> list[Seen]:
        """The questions to the name server, and its answers."""
        udp = (each for each in self.facts.seen if each.packet.transport == "UDP")
        return [each for each in udp if DNS_PORTS & {each.packet.source[1], each.packet.target[1]}]

    def first(self, message: str, sender: str) -> int:
        """The first frame of this host's that completes a message of this type; 0 where none can be read."""
        return next((a.number for a in self.every if a.source == sender and message in a.names.split(", ")), 0)

    @cached_property
    def entry(self) -> int:
        """The frame with client 1's first message to the server; under TLS, its first record."""
        said = (each for each in self.facts.stream if each.packet.source == self.facts.client and each.payload)
        return next((each.number for each in said), 0)

    @cached_property
    def roster(self) -> int:
        """The frame that completes the roster, where it can be read."""
        return self.first("roster", "server")

    @cached_property
    def merged(self) -> list[Arrow]:
        """Segments in which several messages arrived together."""
        return [each for each in self.every if "," in each.names or "×" in each.names]

    @cached_property
    def ending(self) -> list[Seen]:
        """The segments with which the connection ends."""
        end = self.facts.ending
        return [each for each in self.facts.stream if end and each.number >= end.number][:LONG]

    @property
    def round_trip(self) -> float:
        """Seconds from the SYN to the SYN-ACK."""
        return self.times[self.facts.synack.number] - self.times[self.facts.syn.number]

    @cached_property
    def arrows(self) -> list[Arrow]:
        """What is drawn, so that it fits a page: one of each kind."""
        f = self.facts
        say, whisper = self.first("say", self.me), f.whispers[0].number if f.whispers else 0
        long = [each.number for each in f.third.segments[:LONG]] if f.third else []
        opened = [f.syn.number, f.synack.number, f.handshake.last.number]
        chosen = {*(each.number for each in self.dns[:2]), *opened, self.entry, self.roster, say, whisper, *long}
        chosen |= {each.number for each in self.ending}
        return [each for each in self.every if each.number in chosen]

    def drawn(self) -> str:
        """What the diagram leaves out."""
        return (
            f"{len(self.arrows)} of {self.facts.frames} frames, one of each kind; all of them: "
            f"`.venv/bin/lab flow {self.facts.path}`"
        )

    def title_block(self) -> list[tuple[str, str]]:
        """Who, when, with what."""
        began = datetime.fromtimestamp(min(self.times.values()))
        return [
            ("Name", TO_FILL_IN),
            ("Course, group", TO_FILL_IN),
            ("Captured", f"{began:%Y-%m-%d %H:%M}, {self.facts.path}"),
            ("Network", {"lan": "the lab's LAN (network namespaces)", "loopback": "loopback"}[self.network]),
            (
                "Versions",
                f"lab {_version()}, Python {platform.python_version()}, {platform.system()} {platform.release()}",
            ),
        ]

    def rows(self) -> Iterator[tuple[str, str]]:
        """The figures, each with its name."""
        f = self.facts
        yield "Client 1", f"{self.me}, {_at(f.client)}, whispers at UDP port {self._udp_port()}"
        yield "Server", f"{_at(f.server)}; its name was resolved in {_frames(self.dns[:2])}"
        yield "Frames", self._counts()
        yield "Handshake", f"{_frames((f.syn, f.synack, f.handshake.last))}; round trip {self.round_trip * 1e3:.3f} ms"
        yield "Way in", f"first message in frame {self.entry}; roster in frame {self.roster or '(sealed)'}"
        if f.whispers:
            most = ", ".join(f"{number} to {name}" for name, number in f.told.most_common())
            size = f"{f.whisper.payload} bytes of payload in a frame of {len(f.whisper.frame)}"
            yield "Whispers", f"{len(f.whispers)} sent ({most}), {len(f.answers)} received; the first: {size}"
        if f.third:
            parts = ", ".join(str(each.payload) for each in f.third.segments)
            yield "Long message", f"{spaced(f.third.size)} bytes in {len(f.third.segments)} segments ({parts})"
        held = f"{len(self.merged)} segments held more than one message{_numbers(self.merged)}"
        yield "Merged", held if self.roster else "sealed: from outside nobody can tell"
        yield "Ending", f"{_frames(self.ending) if self.ending else 'not in the capture'}"
        yield (
            "Threads or loop",
            measured(f.path.parent) or "not measured yet: make stage-1 report ARGS='--measure --force'",
        )
        yield "Attacks", attacked(self.stage.number)
        yield "Capture lab", self._answered()
        yield "So far", reached(self.stage.number)

    def _udp_port(self) -> str:
        return str(self.facts.whisper.packet.source[1]) if self.facts.whispers else "unknown"

    def _counts(self) -> str:
        kinds = Counter(p.transport if (p := dissected(each.data)) else "other" for each in frames(self.facts.path))
        return f"{self.facts.frames}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())

    def _answered(self) -> str:
        file = self.facts.path.with_name(handed_in.ANSWERS)
        if not file.is_file():
            return f"not kept yet: make stage-{self.stage.number} questions ARGS=--save"
        try:
            checked = handed_in.check_own(handed_in.read(file), self.facts.path)
        except LabError as why:
            return printable(str(why))
        return f"{checked.right} of {checked.questions} questions right, {checked.tries} answers given"


def _at(address: Address) -> str:
    return f"{address[0]} port {address[1]}"


def _frames(seen: Sequence[Seen]) -> str:
    """`frames 3, 4`"""
    numbers = ", ".join(str(each.number) for each in seen)
    return f"frame{'s' * (len(seen) != 1)} {numbers}" if seen else "no frame of this capture"


def _numbers(arrows: Sequence[Arrow]) -> str:
    return f" (frame {', '.join(str(each.number) for each in arrows[:3])})" if arrows else ""


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _json(path: Path) -> dict[str, Any]:
    """What a file holds; nothing where it is damaged, since a report does not depend on it."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def measure(folder: Path) -> None:
    """Run the benchmark of the runtimes and keep in this folder what it says. Raises LabError."""
    command = (sys.executable, "-m", "benchmarks.runtimes", "--json")
    try:
        said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=MEASURED_IN).stdout
        write_text(folder / RUNTIMES, json.dumps(json.loads(said), indent=2))
    except (subprocess.SubprocessError, ValueError):
        raise LabError("The runtimes could not be measured; see: .venv/bin/python -m benchmarks.runtimes") from None


def measured(folder: Path) -> str:
    """How the two runtimes compared, where that was measured; else nothing."""
    own = folder / RUNTIMES
    others = () if own.is_file() else RUNS.glob(f"*/{RUNTIMES}")
    newest = max(others, key=lambda path: path.stat().st_mtime_ns, default=own)
    kept = _json(newest)
    try:
        loop, threads = kept["asyncio"], kept["threads"]
        spread, wait = (threads[name] / loop[name] for name in ("spread", "wait"))
        froze = threads["wait"] >= kept["frozen"]
        return (
            f"with {kept['members']} members {threads['threads']} threads to {loop['threads']}; one message to all: "
            f"{threads['spread']:.1f} to {loop['spread']:.1f} ms, ratio {spread:.1f}; one stops reading, one floods: "
            f"{'froze' if froze else 'waited'} {threads['wait']:.0f} ms{'+' * froze} to {loop['wait']:.1f} ms, "
            f"ratio {wait:.0f}{'+' * froze}"
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""


def attacked(stage: int) -> str:
    """Which attacks were run here against this stage, with its own levers, and the newest verdict of each."""
    verdicts: dict[str, str] = {}
    for path in sorted(RUNS.glob(f"*-stage{stage}-*/verdicts.json")):  # a folder's name begins with its date
        cells = _json(path).get("cells")
        for cell in cells if isinstance(cells, list) else []:
            if isinstance(cell, dict) and not cell.get("levers") and cell.get("verdict") in ("broken", "held"):
                name = "/".join(str(cell.get(part) or "") for part in ("attack", "goal", "case")).rstrip("/")
                verdicts[printable(name)] = cell["verdict"]
    if not verdicts:
        return f"none run here yet: make stage-{stage} demo"
    said = {word: [name for name, verdict in verdicts.items() if verdict == word] for word in ("broken", "held")}
    return "; ".join(f"{len(names)} {word}: {', '.join(names)}" for word, names in said.items() if names)


def reached(stage: int) -> str:
    """What the person's progress says of this stage: the quiz, and the exercise."""
    try:
        kept = progress.read().stage(stage)
        asked = len(quiz(stage))
    except LabError as why:
        return printable(str(why))
    right = sum(bool(answer.right) for answer in kept.quiz.values())
    return f"{right} of {asked} questions of the quiz right; exercise {', '.join(kept.exercise) or 'not begun'}"
