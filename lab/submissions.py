"""Submissions as they lie in a folder: what of each is read, and what is refused unread.

A submission is a stranger's: it may link to the grader's own files, be a device that never ends, or have a million
files. So nothing is followed, everything is bounded, and what is graded is a copy of what was read here, once.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from common.errors import LabError
from common.text import printable
from lab.facts import CLIENT_FILE
from lab.handed_in import ANSWERS

MOST_ENTRIES: Final = 2_000
MOST_BYTES: Final = 8 << 20
"""Of all files together that are read. An exercise has some 50 KB, a capture of the capture lab some 10."""
DEEPEST: Final = 8
PASSED_OVER: Final = ("__pycache__", "__MACOSX", "node_modules", "venv")
"""Folders that come along by themselves; so are all whose name begins with a dot."""


class Refused(Exception):
    """A submission that is not graded; the words say why."""


@dataclass
class Submission:
    """One student's files, as they were read: by path, from the student's folder on."""

    student: str
    stage: int
    files: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def content(self) -> str:
        """A SHA-256 over names and contents."""
        digest = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            for part in (path.encode(errors="surrogateescape"), data):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    @cached_property
    def root(self) -> str:
        """Where the exercise is: `stage3/`, `work/stage3/`, or the folder itself; the shallowest with a client.py."""
        clients = [PurePosixPath(path).parent for path in self.files if PurePosixPath(path).name == "client.py"]
        own = [path for path in clients if path.name == f"stage{self.stage}"]
        at = min(own or [path for path in clients if path == PurePosixPath()], key=lambda p: len(p.parts), default=None)
        return "" if at is None else f"{at}/".removeprefix("./")

    @property
    def sources(self) -> dict[str, bytes]:
        """The exercise's Python files, by their path in it; none where there is no client.py."""
        found = {p.removeprefix(self.root): d for p, d in self.files.items() if p.startswith(self.root)}
        python = {path: data for path, data in found.items() if path.endswith(".py")}
        return python if "client.py" in python else {}

    def named(self, name: str) -> bytes | None:
        """The file of this name that lies nearest to the top."""
        places = [path for path in self.files if PurePosixPath(path).name == name]
        return self.files[min(places, key=lambda path: (path.count("/"), path))] if places else None


def students(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the subfolders, sorted, links to folders too, each of which is then refused; and a sentence for
    everything beside them that was perhaps meant to be graded. Raises LabError."""
    try:
        with os.scandir(folder) as entries:
            there = sorted((e.name, e.is_dir() or e.is_symlink()) for e in entries if not e.name.startswith("."))
    except OSError as error:
        raise LabError(f"{folder} is no folder of submissions ({error.strerror}); give one: lab grade FOLDER") from None
    found = [name for name, is_folder in there if is_folder and printable(name) == name]
    left_out = [_left_out(name, is_folder) for name, is_folder in there if name not in found and not _own(name)]
    if not found:
        why = f" {left_out[0]}" if left_out else ""
        raise LabError(f"{folder} has no submissions in it: a subfolder for each student is expected.{why}")
    return found, left_out


def _left_out(name: str, is_folder: bool) -> str:
    """Why this is not graded. Grades are kept by name: two names that are shown as one would be one student's."""
    if is_folder:
        return f"The folder {_shown(name)!r} is not graded: its name has characters that cannot be shown; rename it."
    return f"{_shown(name)} is not graded: it is no folder; unpack it into a folder named by the student's ID."


def _own(name: str) -> bool:
    """Is it what comes to lie there by itself: grades, a roster, notes?"""
    return name.endswith((".csv", ".json", ".jsonl", ".md", ".txt")) or name.startswith("key.")


def read(folder: Path, student: str, stage: int) -> Submission:
    """Read what matters of one submission. Raises Refused."""
    top = folder / student
    submission = Submission(student, stage)
    left = MOST_BYTES
    try:
        if top.is_symlink() or not top.is_dir():
            raise Refused("it is a symbolic link, and not a folder")
        for path, size in _files(top):
            if size > left:
                raise Refused(f"it has more than {MOST_BYTES >> 20} MiB")
            data = _content(top / path, left)
            left -= len(data)
            submission.files[path] = data
    except OSError as error:
        raise Refused(f"it cannot be read ({error.strerror})") from None
    if not submission.files:
        raise Refused(f"it is empty: there is neither an exercise nor {ANSWERS} in it")
    return submission


def _files(top: Path) -> Iterator[tuple[str, int]]:
    """The files that matter, with their sizes. Raises Refused for links, devices, and far too many."""
    seen, waiting = 0, [""]
    while waiting:
        at = waiting.pop()
        with os.scandir(top / at) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_ENTRIES:
                    raise Refused(f"it has more than {MOST_ENTRIES} files and folders")
                path = f"{at}{entry.name}"
                if entry.name.startswith(".") or entry.name in PASSED_OVER:
                    continue
                if entry.is_symlink():
                    raise Refused(f"{_shown(path)} is a symbolic link")
                if entry.is_dir():
                    if path.count("/") >= DEEPEST:
                        raise Refused(f"{_shown(path)} lies too deep")
                    waiting.append(f"{path}/")
                elif entry.name.endswith(".py") or entry.name in (ANSWERS, CLIENT_FILE):
                    yield path, entry.stat(follow_symlinks=False).st_size


def _content(file: Path, most: int) -> bytes:
    """What is in a regular file, whatever it was a moment ago. Raises OSError, Refused."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{_shown(file.name)} is no ordinary file")
        data = opened.read(most + 1)
    if len(data) > most:
        raise Refused(f"it has more than {MOST_BYTES >> 20} MiB")
    return data


def _shown(path: str) -> str:
    return printable(path)[:80]
