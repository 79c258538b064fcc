"""`make diff FROM=2 TO=3`: the lesson of a stage, as a diff.

A stage names the files that its lever changes (`CHANGES`, the lever's own file first); all others are byte-identical
to those of the stage before, which a test sees to. On a terminal the diff is coloured; piped, it is a plain unified
diff that `patch` can read.
"""

import difflib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import LabError
from stages import Stage, find

OWN = ("__init__.py", "README.md", "quiz.toml")
"""What every stage says about itself, and no lever need claim."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file in two stages."""

    path: str
    lines: tuple[str, ...]

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(line.startswith("+") for line in self.lines[2:])

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(line.startswith("-") for line in self.lines[2:])


def files(stage: Stage) -> dict[str, bytes]:
    """Every file of a stage, by its path in the stage's folder."""
    paths = (path for path in sorted(stage.folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(stage.folder).as_posix(): path.read_bytes() for path in paths}


def changed(before: Stage, after: Stage) -> set[str]:
    """The files that are not byte-identical in two stages, but for what each says about itself."""
    old, new = files(before), files(after)
    return {path for path in old | new if old.get(path) != new.get(path)} - set(OWN)


def lesson(before: Stage, after: Stage) -> list[FileDiff]:
    """What changed from one stage to another, in the order in which it is best read."""
    old, new = files(before), files(after)
    order = {path: place for place, path in enumerate(after.changes)}
    paths = sorted(changed(before, after), key=lambda path: (order.get(path, len(order)), path))
    return [
        _diff(f"{before.package}/{path}", f"{after.package}/{path}", old.get(path), new.get(path)) for path in paths
    ]


def _diff(old_path: str, new_path: str, old: bytes | None, new: bytes | None) -> FileDiff:
    lines = difflib.unified_diff(
        (old or b"").decode().splitlines(keepends=True),
        (new or b"").decode().splitlines(keepends=True),
        "/dev/null" if old is None else f"stages/{old_path}",
        "/dev/null" if new is None else f"stages/{new_path}",
    )
    return FileDiff(new_path.partition("/")[2], tuple(_ended(lines)))


def _ended(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def show(number_before: int | None, number_after: int, *, as_json: bool) -> None:
    """Print the lesson. Raises LabError where there is no such stage."""
    after = find(number_after)
    before = find(number_after - 1 if number_before is None else number_before)
    if before == after:
        raise LabError(f"Stage {after.number} does not differ from itself; try FROM={after.number - 1}.")
    diffs = lesson(before, after)
    if as_json:
        rows = [{"file": diff.path, "added": diff.added, "removed": diff.removed} for diff in diffs]
        print(json.dumps({"from": before.number, "to": after.number, "files": rows}, indent=2))
    elif sys.stdout.isatty():
        _show_on_terminal(before, after, diffs)
    else:
        sys.stdout.writelines(line for diff in diffs for line in diff.lines)


def _show_on_terminal(before: Stage, after: Stage, diffs: list[FileDiff]) -> None:
    from rich.syntax import Syntax

    from lab.output import Output

    console = Output(no_color=bool(os.environ.get("NO_COLOR")), highlight=False)
    console.print(f"From stage {before.number} to stage {after.number}. {after.title}", style="bold")
    for diff in diffs:
        console.print(f"  {diff.path:32} +{diff.added} −{diff.removed}")
    for diff in diffs:
        console.print()
        console.print(
            Syntax("".join(diff.lines), "diff", theme="ansi_dark", background_color="default", word_wrap=True)
        )
