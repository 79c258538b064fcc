"""The way from a workspace to the reference, as a diff."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from lab.diff import files
from stages import Stage


def to_reference(stage: Stage, folder: Path) -> Iterator[str]:
    """A unified diff from the learner's files to the stage's own. Files that the stage does not have are left out."""
    for path, data in files(stage).items():
        if not path.endswith(".py"):
            continue
        mine = folder / path
        old = mine.read_text(encoding="utf-8", errors="replace") if mine.is_file() else ""
        names = (f"{folder}/{path}" if mine.is_file() else "/dev/null", f"stages/{stage.package}/{path}")
        yield from difflib.unified_diff(old.splitlines(), data.decode().splitlines(), *names, lineterm="")
