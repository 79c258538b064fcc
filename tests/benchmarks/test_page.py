"""The page of results: its form, and that it answers for every target. Not its figures: those are of one run."""

import re
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.__main__ import SUBJECTS, main
from benchmarks.rows import KEPT, Result, Row, Slice, keep, kept
from benchmarks.targets import TARGETS
from common.errors import LabError

NATS = Row(name="stage 1", ours=3e6, theirs=2e6, unit="deliveries", against="nats-server", target="nats-10")
JOINS = Row(name="joins", ours=5000, unit="/s", target="joins-100", why="the kernel takes it all", profile="joins")


def text(**results: Result) -> str:
    return "\n".join(page.lines(results))


def test_page_is_what_its_results_make_of_it() -> None:
    assert page.FILE.read_text() == "\n".join(page.lines(kept())) + "\n", "run: python -m benchmarks"


def test_page_names_every_target_whether_measured_or_not() -> None:
    for written in (text(), page.FILE.read_text()):
        assert [target.says for target in TARGETS.values() if f"| {target.says} |" not in written] == []


def test_every_target_that_a_run_can_measure_has_a_row() -> None:
    measured = {row.target for result in kept().values() for row in result.rows}
    open_ones = {name for name, target in TARGETS.items() if target.subject in SUBJECTS and not target.by_hand}
    left_out = {TARGETS[name].subject for name in open_ones - measured}
    assert all(kept()[subject].left_out for subject in left_out), "a peer that is missing is named"


def test_every_row_that_misses_its_target_has_a_reason() -> None:
    for result in kept().values():
        for row in result.rows:
            assert row.met is not False or row.why or result.profiles.get(row.profile), row.name


def test_page_names_no_machine_and_no_path() -> None:
    names = Path("/etc/hostname").read_text().split() if Path("/etc/hostname").exists() else []
    for written in (page.FILE.read_text(), KEPT.read_text()):
        assert not re.search(r"/(home|root|tmp|work)\b", written)
        assert not any(name in written for name in names if len(name) > 3)


def test_ratio_is_judged_against_its_target_and_a_figure_against_its_own() -> None:
    assert (NATS.figure, NATS.met) == (1.5, True)
    assert (JOINS.figure, JOINS.met) == (5000, False)
    assert Row(name="x", ours=1, unit="s").met is None
    assert Row(name="x", ours=0.2, unit="s", target="prompt").met is True


def test_page_says_what_was_met_and_why_not() -> None:
    written = text(
        brokers=Result(limits="None.", rows=[NATS], left_out=["mosquitto is not installed."]),
        arrivals=Result(limits="None.", rows=[JOINS], profiles={"joins": [Slice(0.5, "send", "a | b")]}),
    )
    assert "| stages 1 to 3, 10 messages in flight: 1.5 × nats-server | 1.5 | met |" in written
    assert "| joins | 5,000 /s | ≥ 10,000 | **not met** |" in written
    assert "Why not, joins: the kernel takes it all" in written
    assert r"| 50% | `send` | `a \| b` |" in written
    assert "Left out: mosquitto is not installed." in written


def test_new_result_takes_the_place_of_its_subjects_last_and_of_no_other(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    keep("brokers", Result(limits="old", rows=[NATS]), file)
    keep("arrivals", Result(limits="a", rows=[JOINS]), file)
    keep("brokers", Result(limits="new", rows=[]), file)
    assert {name: (result.limits, result.rows) for name, result in kept(file).items()} == {
        "brokers": ("new", []),
        "arrivals": ("a", [JOINS]),
    }


def test_file_that_holds_no_results_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"brokers": 5}')
    with pytest.raises(LabError, match="holds no results"):
        kept(file)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123, "0.0123"),
        (1.5, "1.5"),
        (17.42, "17.4"),
        (999, "999"),
        (5263.1, "5,260"),
        (24644, "24,600"),
        (1.2e7, "12 M"),
    ],
)
def test_figures_have_three_digits_that_count(value: float, shown: str) -> None:
    assert page.number(value) == shown


def test_subject_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["brokers", "weather"])
    assert "there is no weather" in capsys.readouterr().err
