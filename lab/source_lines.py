"""Where a quoted line of code stands in a function, so that a page that quotes it can link to it."""

import ast
from pathlib import Path

from common.errors import LabError


def line_of(file: Path, owner: str, quoted: str) -> int:
    """The number of the line of this file that has the quoted text, in the function `owner` (`Class.method`).

    Raises LabError where there is no such file, function or line.
    """
    try:
        source = file.read_text(encoding="utf-8")
    except OSError:
        raise LabError(f"There is no file {file.name} that could have the line {quoted}.") from None
    node = _definition(ast.parse(source), owner.split("."))
    if node is None:
        raise LabError(f"There is no {owner} in {file.name}; name the function as Class.method or function.")
    lines = source.splitlines()
    for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        if quoted in lines[number - 1]:
            return number
    raise LabError(f"No line of {owner} in {file.name} has the text {quoted}; quote a part of one line as it stands.")


def _definition(tree: ast.AST, names: list[str]) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None:
    """The class or function with this dotted name."""
    first, *rest = names
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == first:
            return _definition(node, rest) if rest else node
    return None
