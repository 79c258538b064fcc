"""Every right solution passes, in whatever style it is written."""

import ast
import shutil
from pathlib import Path

import pytest

import stages
from lab.exercise import workspace
from lab.exercise.declared import WORKS
from tests.exercises.right import RIGHT, Right
from tests.exercises.test_wrong import STAGES, checked


def written(right: Right, to: Path) -> Path:
    """The reference with this solution in it."""
    reference = stages.find(right.stage).folder
    folder = shutil.copytree(reference, to / right.name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in right.before:
        shutil.copy(stages.find(right.stage - 1).folder / file, folder / file)
    for file, texts in right.written.items():
        for text in texts:
            (folder / file).touch()
            (folder / file).write_text(put_in((folder / file).read_text(), text.strip("\n")))
    return folder


def put_in(source: str, text: str) -> str:
    """A file with this function in place of its own; with these imports above its own; with all else at its end."""
    rows, tree = source.splitlines(), ast.parse(source)
    first = text.partition("\n")[0]
    if first.startswith(("import ", "from ")):
        at = next((node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)), 1)
        rows[at - 1 : at - 1] = [text]
        return "\n".join(rows) + "\n"
    name = first.removeprefix("def ").partition("(")[0]
    nodes = dict(workspace._functions(tree))
    if name in nodes:
        node = nodes[name]
        code = text.replace(f"def {name}(", f"def {node.name}(", 1).splitlines()
        rows[node.lineno - 1 : node.end_lineno] = [" " * node.col_offset + row for row in code]
        return "\n".join(rows) + "\n"
    assert "." not in name or not first.startswith("def "), f"there is no {name}"
    return f"{source}\n\n{text}\n"


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: f"stage{right.stage}-{right.name}")
def test_right_solution_passes(right: Right, tmp_path: Path) -> None:
    outcome = checked(right.stage, written(right, tmp_path), *((WORKS, *right.asks) if right.asks else ()))
    assert {result.id: result.observed for result in outcome.requirements if not result.passed} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_exercise_has_at_least_three_right_solutions(stage: int) -> None:
    assert len([right for right in RIGHT if right.stage == stage]) >= 3
