"""The workspace of an exercise: the stage before as it is, and the lever's files with bodies to be written.

Nothing here is a second copy of a stage: the files are made from the reference's own, the moment they are laid out. A
blank keeps its signature and its docstring; its body becomes a NotImplementedError that says what is wanted.
"""

import ast
import itertools
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Final

from common.errors import LabError
from lab.diff import files
from lab.exercise.declared import Exercise, exercise
from lab.runs import write_text
from stages import Stage, find

WIDTH: Final = 110
NOT_GIVEN: Final = ("README.md", "quiz.toml")
"""What a stage's folder has beside its programs."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def folder_of(stage: Stage) -> Path:
    """Where the exercise of this stage is laid out: `work/stage3`, beside `runs/`."""
    return Path("work") / f"stage{stage.number}"


def wanted(stage: Stage, *, attached: bool) -> dict[str, str]:
    """Every file of the workspace, by its path: the stage before, then what the stage has more, with its blanks."""
    asked = exercise(stage.number)
    before = _sources(find(stage.number - 1)) if stage.number > 1 else {}
    own = _sources(stage)
    kept = set() if attached else {file for file in asked.attach if file in before}
    given = {**before, **{path: text for path, text in own.items() if path not in kept}}
    for path, blanks in asked.blanks.items():
        if path not in kept:
            given[path] = blanked(given[path], blanks)
    return {**given, "TASK.md": task(stage, asked, attached=attached)}


def _sources(stage: Stage) -> dict[str, str]:
    return {path: data.decode() for path, data in files(stage).items() if path.endswith(".py")}


def lay_out(stage: Stage, *, attached: bool = False, fresh: bool = False) -> tuple[Path, Path | None]:
    """Write the workspace; where there is one already it is never touched, and with `fresh` moved aside.

    Returns the folder, and where the old one is now. Raises LabError.
    """
    given, to, aside = wanted(stage, attached=attached), folder_of(stage), None
    if to.exists() and not fresh:
        raise LabError(
            f"{to}/ is there already, and is not touched: go on with it (make stage-{stage.number} check). To begin "
            f"anew, make stage-{stage.number} exercise FRESH=1: the old one is moved aside, and kept."
        )
    if to.exists():
        aside = _free(to.with_name(f"{to.name}-{datetime.now():%Y%m%d-%H%M%S}"))
        to.rename(aside)
    try:
        for path, text in given.items():
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(to / path, text)
    except OSError as error:
        raise LabError(f"{to} cannot be written ({error.strerror}); mend that and start again.") from None
    return to, aside


def _free(path: Path) -> Path:
    """This name, or the first of its kind that is not taken."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{n}") for n in itertools.count(2)))
    return next(name for name in names if not name.exists())


def blanked(source: str, blanks: dict[str, str]) -> str:
    """The same file with the bodies of these functions to be written: `RoomKey.seal`, or `wrap`."""
    lines = source.splitlines(keepends=True)
    there = dict(_functions(ast.parse(source)))
    for name in sorted(blanks, key=lambda name: there[name].lineno, reverse=True):  # from below, so numbers stay true
        node = there[name]
        docstring = ast.get_docstring(node) is not None
        first = (node.body[0].end_lineno or 0) if docstring else node.body[0].lineno - 1
        lines[first : node.end_lineno] = [_to_write(f"{name}: {blanks[name]}", " " * node.body[0].col_offset)]
    return "".join(lines)


def _to_write(text: str, indent: str) -> str:
    rows = textwrap.wrap(text, WIDTH - len(indent) - 8, drop_whitespace=False)
    if len(rows) == 1:
        return f"{indent}raise NotImplementedError({_quoted(text)})\n"
    quoted = "".join(f"{indent}    {_quoted(row)}\n" for row in rows)
    return f"{indent}raise NotImplementedError(\n{quoted}{indent})\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _functions(tree: ast.Module) -> list[tuple[str, Function]]:
    found: list[tuple[str, Function]] = []
    for node in tree.body:
        if isinstance(node, Function):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef):
            found += [(f"{node.name}.{part.name}", part) for part in node.body if isinstance(part, Function)]
    return found


def task(stage: Stage, asked: Exercise, *, attached: bool) -> str:
    """TASK.md: what to write, in which order, and how it is checked."""
    n = stage.number
    given = [file for file in asked.attach if attached]
    rows = [
        f"| `{file}` | `{name}` | {what} |" for file, blanks in asked.blanks.items() for name, what in blanks.items()
    ]
    steps = [f"{at}. {step}" for at, step in enumerate(asked.steps, 1)]
    attaching = [f"- {step}" for step in asked.attaching]
    if asked.attach and attached:
        how = (
            f"{', '.join(given)} are given as the stage has them: only the bodies above are to be written. Read how it "
            f"is attached, then write them. (The longer way, attaching it yourself: `make stage-{n} exercise FRESH=1`.)"
        )
    elif asked.attach:
        how = (
            f"{', '.join(asked.attach)} are those of stage {n - 1}. Attaching the lever is part of the work; if you "
            f"would rather write only the bodies above, begin with `make stage-{n} exercise ATTACHED=1`."
        )
    else:
        how = "Nothing has to be attached: the blanks are in place."
    requirements = [f"- **{one.id}**: {one.title}. {one.expected}" for one in asked.requirements]
    parts = [
        f"# Stage {n}: {asked.title}",
        asked.about.strip(),
        "## The steps",
        "\n".join(steps),
        "## What to write",
        "\n".join(["| File | Function | What it does |", "|---|---|---|", *rows]),
        "## The messages, in order",
        asked.messages.strip(),
        "## Attaching it",
        how,
        "\n".join(attaching),
        "## How it is checked",
        f"`make stage-{n} check` runs your code as the stage: first the conversation with nobody attacking, in which "
        "Carol's client is the reference's, then the stage's attacks, then single functions against the reference. "
        f"`make stage-{n} solution` shows the way to the reference when all of it passes.",
        "\n".join(requirements),
        f"By hand: `.venv/bin/python -m work.stage{n}.server` and `.venv/bin/python -m work.stage{n}.client --name "
        "alice` in two terminals, from the lab's folder.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
