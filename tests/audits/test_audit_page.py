"""`lab stage-1 audit`: what is shown of an audit."""

import pytest

from lab.audit_page import for_terminal, show
from stages import Stage
from tests.audits.pages import each_stage


@each_stage
def test_audit_is_shown_without_its_markers_where_nobody_looks(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    show(stage)
    shown = capsys.readouterr().out
    assert "<!--" not in shown
    assert "‹canary›" in shown


def test_links_become_words_and_a_line_of_code_keeps_its_number() -> None:
    said = for_terminal("see [the method](README.md#method), [client.py](../stages/client.py#L83)")
    assert said == "see the method, client.py:83"


def test_table_without_a_head_gets_its_first_row_as_one() -> None:
    assert for_terminal("| | |\n|---|---|\n| Severity | High |\n| Difficulty | Low |\n") == (
        "| Severity | High |\n|---|---|\n| Difficulty | Low |\n"
    )


def test_drawing_is_not_shown_as_its_source() -> None:
    page = for_terminal("Before.\n\n```mermaid\nsequenceDiagram\n    A->>B: hello\n```\n\n```text\nkept\n```\n")
    assert "sequenceDiagram" not in page
    assert "`make flow` draws" in page
    assert "kept" in page
