"""Commands, links, files and tests that the pages name exist, and the README says what there is."""

import itertools
import re
from pathlib import Path

import attacks
import stages
from common.levers import Levers
from lab import audits, evidence
from lab.cli import STAGE_VERBS
from lab.report import story
from lab.runs import ROOT
from stages import Stage
from tests.audits.pages import Run, commands, each_page, each_stage, expected_verdicts, fenced


@each_page
def test_every_make_command_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^TARGETS := ([a-z \\\n-]+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    values = set(re.search(r"^KNOWN := ([A-Z_ \\\n]+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    to_come = {"night_call"} if page.name == "CONTRIBUTING.md" else set()
    for _make, *words in commands(page.read_text(encoding="utf-8")):
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        goals = [word for word in words if "=" not in word]
        assert set(settings) <= values, words
        if goals[0].startswith("stage-"):
            stage, verb = goals
            levers = stages.find(int(stage.removeprefix("stage-"))).levers
            Levers.parse(settings.get("LEVERS", ""), levers)
            assert verb in {*STAGE_VERBS, *attacks.names(), *to_come}, words
            if "GOAL" in settings:
                attacks.find(verb).goal(settings["GOAL"])
        else:
            assert set(goals) <= targets, words


@each_stage
def test_command_for_each_finding_runs_its_cells(stage: Stage) -> None:
    text = audits.read(stage)
    for finding in audits.findings_of(stage):
        (row,) = re.findall(rf"^\| {finding.id} \| (`make .*`) \|$", text, re.MULTILINE)
        cells: list[str] = []
        for _make, of, verb, *goal in commands(row):
            assert of == f"stage-{stage.number}"
            chosen = [g.removeprefix("GOAL=") for g in goal] or [g.name for g in attacks.find(verb).goals]
            cells += [f"{verb}/{name}" for name in chosen]
        assert cells == list(finding.cells)


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```text\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor and file.suffix == ".py":
            assert 1 <= int(anchor.removeprefix("L")) <= len(file.read_text(encoding="utf-8").splitlines()), target
        elif anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked as."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_diagrams_have_no_semicolon_which_would_end_a_statement_of_mermaids(page: Path) -> None:
    for drawn in re.findall(r"^```mermaid\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        assert ";" not in re.sub(r"#\w+;", "", drawn)


@each_page
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests or page.name == "CONTRIBUTING.md", name
    for name in re.findall(r"`((?:lab|common|attacks|tests)/\w+(?:/\w+)*\.py)`", text):
        assert (ROOT / name).exists(), name


def test_readme_marks_exactly_those_stages_as_planned_that_have_no_code() -> None:
    rows = re.findall(r"^\| (\d) (.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 9))
    assert [int(number) for number, what in rows if "*planned*" not in what] == list(stages.catalogue())


def test_matrix_in_the_readme_is_the_expected_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert audits.with_matrix(text, expected_verdicts()) == text, "run: make audits"


def test_matrix_is_monotone() -> None:
    for (cell, number), verdict in expected_verdicts().items():
        later = expected_verdicts().get((cell, number + 1), "held")
        assert not (verdict == "held" and later == "broken"), f"{cell} is held at stage {number} and broken later"


def test_readme_names_every_attack_and_every_verb() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in attacks.names():
        assert f"`{name}`" in text or f"make stage-1 {name}" in text, name
    for verb in STAGE_VERBS:
        assert f"`make stage-1 {verb}" in text, verb


def test_excerpt_in_the_readme_is_what_the_demo_prints(ran: dict[int, Run]) -> None:
    (excerpt, *_) = fenced((ROOT / "README.md").read_text(encoding="utf-8"), "text")
    for head, after in itertools.pairwise(excerpt.splitlines()):
        if head.startswith("== "):
            name, position = head.removeprefix("== ").rstrip(")").split(" (")
            assert after == story(attacks.find(name))
            assert attacks.find(name).position == position
        if head.startswith("BROKEN"):
            cell = ran[1].cells[head.split()[1].rstrip(":")]
            assert head == f"BROKEN   {cell.id}: {cell.reason}"
            seen, _, frames = after.strip().partition("  ")
            assert re.fullmatch(r"\(frame [\d, ]+\)", frames)
            assert evidence.neutral(seen, {}) == evidence.neutral(
                f"{cell.evidence[0].where}: {cell.evidence[0].seen}", {}
            )
