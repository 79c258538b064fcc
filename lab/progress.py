"""How far somebody has come: one readable file, `progress.json` in the person's own data folder.

    from lab import progress
    progress.note(3, attack="sniffer")
    progress.note(3, exercise="passed")

    {"version": 1, "stages": {"3": {"demo": "2026-03-01T10:15:00", "attacks": {"sniffer": "2026-03-01T10:20:00"},
     "quiz": {"nonce-reuse": {"tries": 2, "right": "2026-03-01T10:31:00"}}, "hints": {"nonce-reuse": 1},
     "exercise": {"passed": "2026-03-01T11:40:00"}}}, "at": {"stage": 3, "id": "nonce-reuse"}}

Every entry is the first time at which something was reached, or a count that only grows: so two files can be merged
without a question, and nothing that was reached is ever lost. The file is replaced as a whole under a lock. Fields that
this version does not know are kept; a file that cannot be read is set aside, and one that a newer lab wrote in another
shape is left alone. To note something never ends a run: where it cannot be written, that is said once.
"""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from common.errors import LabError
from common.files import user_data, write_whole
from common.text import printable

VERSION: Final = 1
LARGEST: Final = 1 << 20
"""Bytes. A longer file is none of ours."""
Kept = dict[str, Any]


class Answered(msgspec.Struct):
    """What is known of one question. `right`: when it was first answered before the answer was told."""

    tries: int = 0
    right: str = ""
    told: str = ""


class Reached(msgspec.Struct):
    """What is known of one stage; dates are ISO 8601, local time, to the second."""

    demo: str = ""
    attacks: dict[str, str] = {}
    quiz: dict[str, Answered] = {}
    hints: dict[str, int] = {}
    exercise: dict[str, str] = {}


class At(msgspec.Struct):
    """The question or exercise that the person is at."""

    stage: int
    id: str


class Progress(msgspec.Struct):
    """The whole file, as far as this version knows it."""

    version: int = VERSION
    stages: dict[str, Reached] = {}
    at: At | None = None

    def stage(self, number: int) -> Reached:
        """What was reached at a stage."""
        return self.stages.get(str(number)) or Reached()


class Damaged(Exception):
    """This is no progress file."""


def note(
    stage: int,
    *,
    demo: bool = False,
    attack: str = "",
    exercise: str = "",
    question: str = "",
    right: bool = False,
    told: bool = False,
    hint: tuple[str, int] | None = None,
    at: str = "",
) -> None:
    """Keep what was reached at a stage. Never raises: where it cannot be kept, one sentence on standard error says so.

    demo: it was seen. attack: it was run. exercise: a word such as `passed` or `given-up`. question: it was answered;
    right: rightly; told: the answer was told. hint: which question's or exercise's, and up to which grade. at: the
    question or exercise that the person is at.
    """

    def keep(kept: Kept) -> None:
        stages = kept.setdefault("stages", {})
        there = stages.setdefault(str(stage), {})
        if demo:
            there.setdefault("demo", _now())
        if attack:
            there.setdefault("attacks", {}).setdefault(attack, _now())
        if exercise:
            there.setdefault("exercise", {}).setdefault(exercise, _now())
        if question:
            _answered(there.setdefault("quiz", {}).setdefault(question, {}), right=right, told=told)
        if hint:
            hints = there.setdefault("hints", {})
            hints[hint[0]] = max(hints.get(hint[0], 0), hint[1])
        if at:
            kept["at"] = {"stage": stage, "id": at}

    try:
        _change(keep)
    except LabError as error:
        _say_once(f"{error} What you reach now is not noted.")


def read() -> Progress:
    """How far the person has come; nothing where nobody has begun. Raises LabError where the file cannot be read."""
    path = file()
    try:
        kept = _kept(path)
    except Damaged as why:
        raise LabError(f"{path} is damaged ({why}); the next thing noted sets it aside and begins anew.") from None
    _not_newer(kept, path)
    return msgspec.convert(kept, Progress)


def known() -> Progress:
    """The same, for whoever can go on without: where it cannot be read, that is said once, and nothing is known."""
    try:
        return read()
    except LabError as error:
        _say_once(str(error))
        return Progress()


def file() -> Path:
    """Where it is kept. Raises LabError where nobody knows the person's home."""
    return user_data() / "progress.json"


def export_to(target: Path) -> None:
    """Write all that is known to another file. Raises LabError."""
    read()
    write_whole(target, _encoded(_kept(file())))


def import_from(source: Path) -> None:
    """Add what another file knows: the best of both. Raises LabError where it is no progress file."""
    if not source.is_file():
        raise LabError(f"There is no file {source}; give one that `lab progress --export FILE` wrote.")
    try:
        theirs = _kept(source)
    except Damaged as why:
        raise LabError(f"{source} is no progress file ({why}); give one that --export wrote.") from None
    _not_newer(theirs, source)

    def keep(kept: Kept) -> None:
        at = kept.get("at") or theirs.get("at")
        kept.update(merged(kept, theirs))
        if at:
            kept["at"] = at

    _change(keep)


def merged(ours: Any, theirs: Any) -> Any:
    """The best of both: every entry of either, of two dates the earlier, of two counts the larger, else ours."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        both = {name: merged(ours[name], theirs[name]) if name in theirs else ours[name] for name in ours}
        return both | {name: value for name, value in theirs.items() if name not in ours}
    if isinstance(ours, int) and isinstance(theirs, int):
        return max(ours, theirs)
    if isinstance(ours, str) and isinstance(theirs, str):
        return min(filter(None, (ours, theirs)), default="")
    return ours


def _answered(answer: Kept, *, right: bool, told: bool) -> None:
    answer["tries"] = answer.get("tries", 0) + 1
    if right:
        answer.setdefault("right", _now())
    if told:
        answer.setdefault("told", _now())


def _change(keep: Any) -> None:
    """Read, change and replace the file, with nobody in between. Raises LabError."""
    path = file()
    with _locked(path):
        try:
            kept = _kept(path)
        except Damaged as why:
            kept = {"version": VERSION}
            _set_aside(path, why)
        _not_newer(kept, path)
        kept.setdefault("version", VERSION)
        keep(kept)
        write_whole(path, _encoded(kept))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Of several runs that note something at once, one after the other. Raises LabError where nothing can be written.

    The lock is a file of its own, since the file itself is replaced; the kernel frees it however its holder ends.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise LabError(f"{path} cannot be written ({error.strerror}).") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for unfinished in path.parent.glob(f".{path.name}-*.part"):  # of somebody who was killed while writing
            unfinished.unlink(missing_ok=True)
        yield
    except OSError as error:
        raise LabError(f"{path} cannot be written ({error.strerror}).") from None
    finally:
        os.close(descriptor)


def _kept(path: Path) -> Kept:
    """All that the file holds, known or not; nothing where there is none. Raises Damaged, and LabError."""
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        return {"version": VERSION}
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > LARGEST:
        raise Damaged("it is too long")
    try:
        kept: Kept = msgspec.convert(json.loads(data), Kept)
        if msgspec.convert(kept.get("version", VERSION), int) <= VERSION:
            msgspec.convert(kept, Progress)
    except (ValueError, RecursionError) as error:  # msgspec's own is a ValueError
        raise Damaged(str(error).rstrip(".")) from None
    return kept


def _not_newer(kept: Kept, path: Path) -> None:
    """Raises LabError where a newer version wrote this, whose fields may mean something else."""
    if kept.get("version", VERSION) > VERSION:
        raise LabError(f"{path} was written by a newer version of the lab; use that one.")


def _set_aside(path: Path, why: Damaged) -> None:
    """Whatever it was, somebody may still want to mend it. Raises LabError."""
    place = path.with_name(f"{path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S}-{os.urandom(2).hex()}")
    try:
        path.replace(place)
    except OSError as error:
        raise LabError(f"{path} is damaged ({why}) and cannot be set aside ({error.strerror}).") from None
    print(f"! {path} was damaged ({printable(str(why))}); it is kept as {place.name}.", file=sys.stderr)


def _encoded(kept: Kept) -> bytes:
    return (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode(errors="surrogatepass")


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")


@cache
def _say_once(sentence: str) -> None:
    print(f"! {printable(sentence)}", file=sys.stderr)
