"""The learner's own last run: which folder it left, and what its capture holds. `lab.run_facts` asks it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from attacks.listener import Heard, Listener
from attacks.packets import Packet, dissected
from attacks.pcap import frames
from attacks.sniffer import heard_in
from common.errors import LabError
from common.levers import Levers
from lab.facts import CLIENT_FILE, MOST_FRAMES
from lab.reading import name_of
from stages import Stage

RUNS: Final = Path("runs")
CONTROL: Final = "control.pcapng"


class Absent(Exception):
    """The run is not there, or cannot say what is asked; the sentence says what to do."""


class Frame(NamedTuple):
    """A frame of a capture: its number as in Wireshark, its bytes, and the packet in it, if any."""

    number: int
    data: bytes
    packet: Packet | None


@dataclass
class Run:
    """One capture of a run, and what else the run's folder says."""

    stage: Stage
    path: Path
    network: str = "lan"

    @cached_property
    def frames(self) -> list[Frame]:
        """Every frame. Raises Absent where the capture cannot be read."""
        found = []
        try:
            for frame in frames(self.path):
                found.append(Frame(frame.number, frame.data, dissected(frame.data)))
                if len(found) > MOST_FRAMES:
                    raise Absent(f"{self.path} has more than {MOST_FRAMES} frames; make a shorter run.")
        except LabError as error:
            raise Absent(f"{error}") from None
        return found

    @cached_property
    def messages(self) -> list[tuple[int, Heard]]:
        """Every message that can be read as it stands, with the number of the frame that completes it."""
        try:
            return [(frame.number, heard) for frame, heard in heard_in(self.path, Listener(self.stage.port))]
        except LabError as error:
            raise Absent(f"{error}") from None

    @cached_property
    def opened(self) -> list[tuple[int, Heard]]:
        """The same, and those inside TLS, where the copy with the secrets stands beside. Raises Absent."""
        from lab.wireshark import decrypted, preferred

        copy = preferred(self.path)
        if copy == self.path:
            return self.messages
        try:
            return list(decrypted(copy))
        except LabError as error:
            raise Absent(f"{error}") from None

    def packets(self, transport: str) -> Iterator[tuple[int, Packet]]:
        """The TCP or UDP packets, with the number of their frame."""
        return ((f.number, f.packet) for f in self.frames if f.packet and f.packet.transport == transport)

    def sent_by(self, host: str, transport: str) -> Iterator[tuple[int, Packet]]:
        """Those that carry this host's address as their source."""
        return ((n, packet) for n, packet in self.packets(transport) if name_of(packet.source[0]) == host)

    @cached_property
    def transcript(self) -> str:
        """What stood on screens and crossed the wire; nothing where a run has no transcript."""
        try:
            return (self.path.parent / "transcript.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    @property
    def control(self) -> "Run | None":
        """The capture of the same run in which nobody attacked."""
        beside = self.path.with_name(CONTROL)
        return Run(self.stage, beside, self.network) if beside.is_file() and beside != self.path else None


def last_run(stage: Stage, verb: str, goal: str = "", levers: str = "") -> Run:
    """The last run of an attack (also within a demo, or among all attacks), of the demo, or of the capture lab.

    goal: the attack's; its first otherwise. levers: those under which it was run; none of them turned otherwise.
    Raises Absent with the command that makes such a run.
    """
    for folder in _newest_first(stage, verb):
        run = _in(folder, stage, verb, goal, levers)
        if run:
            return run
    command = f"make stage-{stage.number} {verb}" + (f" GOAL={goal}" if goal else "")
    command += f' LEVERS="{levers}"' if " " in levers else f" LEVERS={levers}" if levers else ""
    raise Absent(f"This one is about a run of your own, which is not there yet; make it with: {command}")


def _newest_first(stage: Stage, verb: str) -> Sequence[Path]:
    """The folders that may hold it; a folder's name begins with the moment at which the run ended."""
    kinds = [verb] if verb in ("demo", "capture") else [verb, "demo", "attack"]
    found = [folder for kind in kinds for folder in RUNS.glob(f"*-stage{stage.number}-{kind}-*") if folder.is_dir()]
    return sorted(found, key=lambda folder: (folder.name[:15], folder.stat().st_mtime_ns), reverse=True)


def _in(folder: Path, stage: Stage, verb: str, goal: str, levers: str) -> Run | None:
    if verb == "capture":
        return Run(stage, folder / CLIENT_FILE) if (folder / CLIENT_FILE).is_file() else None
    try:
        found = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
        cells, network = list(found["cells"]), str(found["network"])
        names = [CONTROL] if verb == "demo" else [c["capture"] for c in cells if _is(c, stage, verb, goal, levers)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    paths = (folder / name for name in names if name)
    return next((Run(stage, path, network) for path in paths if path.is_file()), None)


def _is(cell: dict[str, Any], stage: Stage, attack: str, goal: str, levers: str) -> bool:
    turned = Levers.parse(levers, stage.levers).turned()
    return cell["attack"] == attack and goal in ("", cell["goal"]) and cell["levers"] == turned and not cell.get("via")
