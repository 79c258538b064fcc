"""What the tests of the audits share: the pages, and what is expected of every cell."""

import importlib
import re
import shlex
from typing import Any

import pytest

import attacks
import stages
from lab import audits
from lab.bench import Cell
from lab.runs import ROOT
from stages import Stage

STAGES = list(stages.catalogue().values())
FIELD = sorted(audits.FOLDER.glob("field-*.md"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + FIELD
PAGES += [stage.folder / "README.md" for stage in STAGES] + [audits.path_of(stage) for stage in STAGES] + [audits.INDEX]

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"stage-{stage.number}")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Run:
    """What running every cell that an audit cites has given."""

    def __init__(self, bodies: dict[str, str], cells: list[Cell]) -> None:
        self.bodies = bodies
        self.cells = {cell.id: cell for cell in cells if not cell.levers}


def expected_verdicts() -> dict[tuple[str, int], str]:
    """What every cell is expected to be; whether it is, the tests of the attacks ask."""
    return {
        (f"{attack.name}/{goal.name}", stage.number): goal.expected_at(stage.number)
        for attack in attacks.catalogue()
        for goal in attack.goals
        for stage in STAGES
    }


def broken_cells(stage: Stage) -> set[str]:
    """The cells that are expected to be broken at this stage with its own levers, but for those that are a matter of
    the network (`lan_only`), the same at every stage."""
    return {
        f"{attack.name}/{goal.name}"
        for attack in attacks.catalogue()
        for goal in attack.goals
        if goal.expected_at(stage.number) == "broken" and not goal.lan_only
    }


def sections(text: str) -> dict[str, str]:
    """What stands below each heading `## …` of a page, in order."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def session_of(stage: Stage, owner: str) -> Any:
    """The class ServerSession or ClientSession of a stage."""
    module = "server" if owner == "ServerSession" else "client"
    return getattr(importlib.import_module(f"stages.{stage.package}.{module}"), owner)


def handout(stage: Stage) -> str:
    """The stage's README."""
    return (stage.folder / "README.md").read_text(encoding="utf-8")


def fenced(text: str, language: str) -> list[str]:
    """The blocks of code in one language."""
    return [block.strip() for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]


def commands(text: str) -> list[list[str]]:
    """Every `make …` in code, as words."""
    code = re.findall(r"`(make [^`]+)`", text) + [
        line.strip() for block in fenced(text, "sh") for line in block.splitlines() if line.strip().startswith("make ")
    ]
    return [shlex.split(line, comments=True) for line in code]
