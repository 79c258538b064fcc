"""The workspace: the stage before, the lever's blanks, and never a person's work overwritten."""

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stages
from lab.cli import run
from lab.diff import files
from lab.exercise import declared, workspace
from lab.exercise.declared import WORKS
from lab.exercise.probes import probes_of
from lab.runs import ROOT
from tests.exercises.test_wrong import STAGES, checked
from tests.programs import Program


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workspaces are laid out in the current folder, by the command `lab`, not by make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_EXPECT", raising=False)


def body(source: str, name: str) -> list[ast.stmt]:
    """What a function does, without its docstring."""
    node = dict(workspace._functions(ast.parse(source)))[name]
    return node.body[1:] if ast.get_docstring(node) is not None else node.body


@pytest.mark.parametrize("stage", STAGES)
def test_every_blank_is_to_be_written_and_all_else_is_the_stages_own(stage: int) -> None:
    asked = declared.exercise(stage)
    given = workspace.wanted(stages.find(stage), attached=True)
    for path, data in files(stages.find(stage)).items():
        if not path.endswith(".py"):
            continue
        blanks = asked.blanks.get(path, {})
        for name in blanks:
            (only,) = body(given[path], name)
            assert isinstance(only, ast.Raise)
            assert "NotImplementedError" in ast.unparse(only)
        if not blanks:
            assert given[path] == data.decode()
        kept = {name for name, _ in workspace._functions(ast.parse(data)) if name not in blanks}
        for name in kept:
            assert ast.dump(ast.Module(body(given[path], name), [])) == ast.dump(
                ast.Module(body(data.decode(), name), [])
            )


@pytest.mark.parametrize("stage", [stage for stage in STAGES if declared.exercise(stage).attach])
def test_files_to_attach_in_are_those_of_the_stage_before(stage: int) -> None:
    before = files(stages.find(stage - 1))
    given = workspace.wanted(stages.find(stage), attached=False)
    for path in declared.exercise(stage).attach:
        assert given[path] == before[path].decode()


@pytest.mark.parametrize("stage", STAGES)
def test_task_names_every_blank_and_every_requirement(stage: int) -> None:
    asked = declared.exercise(stage)
    task = workspace.wanted(stages.find(stage), attached=False)["TASK.md"]
    for blanks in asked.blanks.values():
        assert all(f"`{name}`" in task for name in blanks)
    assert all(f"**{one.id}**" in task for one in asked.requirements)


@pytest.mark.parametrize("stage", STAGES)
def test_instructors_are_told_how_many_requirements_there_are(stage: int) -> None:
    asked = declared.exercise(stage)
    row = f"| `make stage-{stage} exercise` {asked.title} | {len(asked.requirements)} |"
    assert row in (ROOT / "INSTRUCTORS.md").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_every_probe_that_is_named_exists_and_every_one_is_named(stage: int) -> None:
    asked = declared.exercise(stage)
    named = [name for one in asked.requirements for name in one.probes]
    assert sorted(named) == sorted(probes_of(stages.find(stage)))
    assert asked.requirements[0].id == WORKS
    assert {one.section for one in asked.requirements} <= {"The story", "Predict, attack, observe", "Explain"}
    assert all(one.id == WORKS or one.cells or one.probes for one in asked.requirements)


@pytest.mark.parametrize("stage", STAGES)
def test_every_attack_that_is_named_is_one_that_the_stage_holds(stage: int) -> None:
    import attacks

    for one in declared.exercise(stage).requirements:
        for cell in one.cells:
            name, goal, *case = cell.split("/")
            found = attacks.find(name).goal(goal)
            assert found.expected_at(stage) == "held", cell
            assert case == [] if not found.cases else case[0] in found.cases


@pytest.mark.parametrize("stage", STAGES)
def test_workspace_in_which_all_is_written_and_attached_passes(stage: int) -> None:
    folder, _ = workspace.lay_out(stages.find(stage))
    asked = declared.exercise(stage)
    for path in {*asked.blanks, *asked.attach}:
        (folder / path).write_bytes(files(stages.find(stage))[path])
    names = [one.id for one in asked.requirements if not one.cells][:2]
    assert checked(stage, folder.absolute(), WORKS, *names).passed


@pytest.mark.parametrize("stage", STAGES)
def test_workspace_is_a_program_that_can_be_run_by_hand(stage: int, start: Callable[..., Program]) -> None:
    folder, _ = workspace.lay_out(stages.find(stage), attached=True)
    asked = declared.exercise(stage)
    for path in asked.blanks:
        (folder / path).write_bytes(files(stages.find(stage))[path])
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from work.stage{stage}.client import ClientSession"
    program = start(sys.executable, "-c", f"{code}; print(ClientSession.__module__)")
    assert program.line() == f"work.stage{stage}.client"


def test_fresh_workspace_says_what_is_not_written_yet() -> None:
    folder, _ = workspace.lay_out(stages.find(3), attached=True)
    outcome = checked(3, folder.absolute(), "works", "room-key-random")
    assert [result.status for result in outcome.requirements] == ["failed", "failed"]
    assert all(result.observed.startswith("Not written yet: RoomKey.fresh") for result in outcome.requirements)


def test_work_is_never_overwritten_and_a_fresh_start_moves_it_aside(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-2", "exercise"]) == 0
    assert "work/stage2/TASK.md" in capsys.readouterr().out
    mine = Path("work/stage2/accounts.py")
    mine.write_text("mine\n")
    assert run(["stage-2", "exercise"]) == 2
    assert "is not touched" in capsys.readouterr().err
    assert mine.read_text() == "mine\n"
    assert run(["stage-2", "exercise", "--fresh", "--attached"]) == 0
    assert mine.read_text() != "mine\n"
    (aside,) = [path for path in Path("work").iterdir() if path.name != "stage2"]
    assert (aside / "accounts.py").read_text() == "mine\n"


def test_check_of_the_command_line_exits_with_one_and_tells_what_helps(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "exercise"])
    capsys.readouterr()
    assert run(["stage-1", "check", "--requirement", "nobody-there"]) == 1
    out = capsys.readouterr().out
    assert "✗ A whisper to nobody is told (nobody-there)" in out
    assert "Not written yet: ClientSession.whisper" in out


def test_check_as_json_has_every_requirement_and_exits_with_zero_on_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-1", "check", str(stages.find(1).folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"] is True
    assert [row["id"] for row in answer["requirements"]] == [one.id for one in declared.exercise(1).requirements]


def test_solution_is_kept_back_until_it_passes_or_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    run(["stage-1", "exercise"])
    capsys.readouterr()
    assert run(["stage-1", "solution"]) == 2
    assert "does not pass yet" in capsys.readouterr().err
    assert run(["stage-1", "solution", "--give-up"]) == 0
    out = capsys.readouterr().out
    assert "--- work/stage1/client.py" in out
    assert "+        peer = self.roster[to]" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stage-3", "check"], "There is no folder work/stage3; lay out the exercise with make stage-3 exercise."),
        (["stage-3", "check", "nowhere"], "There is no folder nowhere."),
        (["stage-3", "check", "."], ". holds no exercise"),
    ],
)
def test_check_of_what_is_no_exercise_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_requirement_that_does_not_exist_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-3", "check", str(stages.find(3).folder), "--requirement", "nothing"]) == 2
    assert "This exercise has no requirement nothing; it has: works, " in capsys.readouterr().err
