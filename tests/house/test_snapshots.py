"""Every stage is a whole snapshot: what its lever does not change is byte-identical to the stage before."""

import ast
import json

import pytest

import stages
from lab.cli import run
from lab.diff import OWN, changed, files, lesson
from stages import Stage

NEIGHBOURS = [(stages.find(n - 1), stages.find(n)) for n in stages.catalogue() if n > 1]


@pytest.mark.parametrize(("before", "after"), NEIGHBOURS, ids=lambda stage: stage.slug)
def test_files_that_the_lever_does_not_claim_are_byte_identical(before: Stage, after: Stage) -> None:
    assert changed(before, after) == set(after.changes)
    assert len(set(after.changes)) == len(after.changes)


def test_first_stage_claims_nothing() -> None:
    assert stages.find(1).changes == ()


@pytest.mark.parametrize("stage", stages.catalogue().values(), ids=lambda stage: stage.slug)
def test_stage_has_the_same_programs_as_all_others(stage: Stage) -> None:
    assert {"__init__.py", "client.py", "compose.py", "server.py"} <= set(files(stage))


@pytest.mark.parametrize("stage", stages.catalogue().values(), ids=lambda stage: stage.slug)
def test_stage_names_no_stage(stage: Stage) -> None:
    """A number in a comment would be a difference that teaches nothing."""
    for path, data in files(stage).items():
        if path not in OWN:
            assert "stage_" not in data.decode()
            assert not any(f"stage{n}" in data.decode().replace(" ", "").lower() for n in range(1, 9)), path


def names(stage: Stage, file: str) -> list[str]:
    """The classes and methods of a file, in order."""
    tree = ast.parse(files(stage)[file])
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)]
    return found


@pytest.mark.parametrize("file", ["client.py", "server.py"])
@pytest.mark.parametrize(("before", "after"), NEIGHBOURS, ids=lambda stage: stage.slug)
def test_methods_of_both_sessions_stand_in_the_same_order(before: Stage, after: Stage, file: str) -> None:
    old, new = names(before, file), names(after, file)
    assert [name for name in old if name in new] == [name for name in new if name in old]


def test_lesson_begins_with_the_levers_own_file() -> None:
    assert [diff.path for diff in lesson(stages.find(2), stages.find(3))] == list(stages.find(3).changes)


def test_diff_is_plain_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "--from", "2", "--to", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("--- /dev/null\n+++ stages/stage3_symmetric/room_key.py\n@@ ")
    assert "--- stages/stage2_hashed_auth/server.py\n+++ stages/stage3_symmetric/server.py\n" in out
    assert "\x1b" not in out


def test_diff_compares_with_the_stage_before_where_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    run(["diff", "--to", "3"])
    first = capsys.readouterr().out
    run(["diff", "--from", "2", "--to", "3"])
    assert capsys.readouterr().out == first


def test_diff_as_json_has_the_size_of_every_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "--to", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["from"], answer["to"]) == (1, 2)
    assert answer["files"][0]["file"] == "accounts.py"
    assert answer["files"][0]["removed"] == 0
    assert {"client.py", "server.py"} <= {row["file"] for row in answer["files"]}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["diff"], "Say which stage: make diff TO=3, or make diff FROM=2 TO=3"),
        (["diff", "--to", "1"], "There is no stage-0; these stages exist: stage-1"),
        (["diff", "--from", "2", "--to", "99"], "There is no stage-99; these stages exist: stage-1"),
        (["diff", "--from", "3", "--to", "3"], "Stage 3 does not differ from itself; try FROM=2."),
    ],
)
def test_diff_that_cannot_be_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(sentence)
