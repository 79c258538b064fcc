"""The benchmark of the handout of stage 1: a thread for each client, or one event loop."""

import json

import pytest

from benchmarks import runtimes


def test_threads_are_many_and_freeze_where_one_member_sleeps_and_the_loop_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtimes, "FROZEN", 1500.0)  # a loop that is not frozen takes milliseconds
    runtimes.main(["--members", "10", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["threads"]["threads"] > 10 > found["asyncio"]["threads"]
    assert found["threads"]["wait"] == runtimes.FROZEN > found["asyncio"]["wait"]
    assert 0 < found["threads"]["spread"] < runtimes.FROZEN


def test_figures_are_printed_with_their_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {
        "threads": {"threads": 12.0, "memory": 30.0, "spread": 5.0},
        "asyncio": {"threads": 2.0, "memory": 0.0, "spread": 4.0},
    }
    monkeypatch.setattr(runtimes, "crowd", lambda setting, number: measured[setting])
    monkeypatch.setattr(runtimes, "longest_wait", {"threads": runtimes.FROZEN, "asyncio": 8.0}.__getitem__)
    runtimes.main([])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[-3:] for row in rows[:3]] == [["12.0", "2.0", "6.0"], ["30.0", "0.0", "inf"], ["5.0", "4.0", "1.2"]]
    assert rows[3][-2:] == ["frozen", "8.0"]
