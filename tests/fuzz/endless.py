"""The run: targets in turn, each by its share, until so many cases or seconds are over; what was found is kept.

A case is `Random(f"{seed} {target} {number}")`: what it draws is its input, and what the check draws after. So a run
that was stopped goes on at its numbers, and a case that failed can be had again alone. What fails is made smaller, byte
by byte, as long as it fails in the same way, and written to `corpus/TARGET/`, which the tests try for ever.
"""

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

from common import console
from tests.fuzz import of_files, of_frames, of_sockets, of_wire, of_words
from tests.fuzz.cases import Make
from tests.fuzz.target import Check, Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (of_wire, of_files, of_frames, of_words, of_sockets)
    for target in module.targets()
}
CORPUS: Final = Path(__file__).with_name("corpus")
MOST_FINDINGS: Final = 20
"""Of one target; who finds more should first mend these."""
SMALLER_SECONDS: Final = 10.0


@dataclass
class Found:
    """An input that broke something."""

    target: str
    number: int
    error: str
    data: bytes


class Prepared:
    """A target that is ready."""

    make: Make
    check: Check

    def __init__(self, name: str, seed: str, folder: Path) -> None:
        self.name, self.seed, self.folder = name, seed, folder
        self.seen: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Prepare it, or prepare it anew: what a fault leaves behind must not be taken for another."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.make, self.check = TARGETS[self.name].prepare(self.folder)

    def random(self, number: int) -> Random:
        """What a case is drawn from."""
        return Random(f"{self.seed} {self.name} {number}")

    def case(self, number: int) -> Found | None:
        """Try one; None where all is well, or where the same went wrong before."""
        rng = self.random(number)
        data = self.make(rng)
        error = self.error(data, rng)
        if not error or signature(error) in self.seen or len(self.seen) >= MOST_FINDINGS:
            return None
        self.seen.add(signature(error))
        return Found(self.name, number, error, self.smaller(data, signature(error)))

    def error(self, data: bytes, rng: Random) -> str:
        """What went wrong with this input, as a traceback; empty where nothing did."""
        try:
            self.check(data, rng)
        except Exception:  # whatever it is: that is the question
            told = traceback.format_exc()
            self.begin()
            return told
        return ""

    def smaller(self, data: bytes, same: str) -> bytes:
        """The input without whatever it does not need in order to fail like that."""
        until, size = time.monotonic() + SMALLER_SECONDS, len(data) // 2
        while size and time.monotonic() < until:
            for at in range(0, len(data), size):
                less = data[:at] + data[at + size :]
                if signature(self.error(less, self.random(0))) == same:
                    data = less
                    break
            else:
                size //= 2
        return data


def signature(error: str) -> str:
    """Two errors are one where they are of one kind, raised at one line."""
    lines = error.splitlines()
    places = [line.split(", in ")[0].strip() for line in lines if line.startswith("  File ")]
    return f"{places[-1:]} {lines[-1].partition(':')[0]}" if lines else ""


@contextlib.contextmanager
def prepared(names: list[str], seed: str) -> Iterator[dict[str, Prepared]]:
    """The targets of these names, each with a folder of its own, in memory where the machine has such a place."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    others = sys.unraisablehook
    known = patch.object(sys, "unraisablehook", lambda about: console.is_of_tls(about) or others(about))
    with known, tempfile.TemporaryDirectory(prefix="lab-fuzz-", dir=memory) as folder:
        ready = {}
        for name in names:
            ready[name] = Prepared(name, seed, Path(folder) / name)
        try:
            yield ready
        finally:
            of_sockets.stop_all()


def plan(names: list[str], cases: int) -> dict[str, int]:
    """How many cases each target gets: by its share, and at least one."""
    all_of_it = sum(TARGETS[name].share for name in names)
    return {name: max(1, round(cases * TARGETS[name].share / all_of_it)) for name in names}


@dataclass
class Run:
    """How far a run is; `done` is what it goes on from."""

    seed: str
    wanted: Mapping[str, int]
    done: dict[str, int] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)

    def until(self, seconds: float, state: Path | None = None) -> None:
        """Go on until all is done or the time is over; all targets advance at one pace."""
        start = said = time.monotonic()
        try:
            with prepared(list(self.wanted), self.seed) as ready:
                start = said = time.monotonic()
                for step in range(1, 1001):
                    for name, target in ready.items():
                        for number in range(self.done.get(name, 0), max(1, self.wanted[name] * step // 1000)):
                            if found := target.case(number):
                                self.found.append(found)
                                tell(found, self.seed)
                            self.done[name] = number + 1
                            if time.monotonic() - said > 5:
                                said = time.monotonic()
                                self.progress(said - start, state)
                            if time.monotonic() - start > seconds:
                                return
        finally:
            self.progress(time.monotonic() - start, state)

    def progress(self, seconds: float, state: Path | None) -> None:
        """Say how far it is, and keep it for whoever goes on."""
        done, wanted = sum(self.done.values()), sum(self.wanted.values())
        print(f"{done:,} of {wanted:,} cases, {seconds:.0f} s, {len(self.found)} found", file=sys.stderr, flush=True)
        if state:
            state.write_text(json.dumps({"seed": self.seed, "wanted": dict(self.wanted), "done": self.done}))


def tell(found: Found, seed: str) -> None:
    """Keep what was found, and say how to have it again."""
    place = CORPUS / found.target / hashlib.sha256(found.data).hexdigest()[:12]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(found.data)
    print(f"\n{found.error}", file=sys.stderr)
    print(
        f"{found.target} found this; the input is kept in corpus/{found.target}. Again: python -m tests.fuzz "
        f"--only {found.target} --seed {seed} --case {found.number}",
        file=sys.stderr,
    )
