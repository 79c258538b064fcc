"""What once broke something is refused properly for ever; and a minute of new bad input finds nothing."""

import os
import traceback
from pathlib import Path

import pytest

from stages import catalogue
from tests.fuzz.cases import pieces
from tests.fuzz.endless import CORPUS, TARGETS, Run, plan, prepared, signature
from tests.fuzz.of_frames import apart, joined
from tests.fuzz.target import Target

SECONDS = 60.0 if os.environ.get("CI") else 10.0
AT_LEAST = 1_000
"""Cases that even a very busy machine tries in that time."""
KEPT = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("target", sorted({file.parent.name for file in KEPT}))
def test_what_was_found_once_is_found_no_more(target: str) -> None:
    with prepared([target], "kept") as ready:
        for file in KEPT:
            if file.parent.name == target:
                assert not ready[target].error(file.read_bytes(), ready[target].random(0)), file.name


def test_a_minute_of_bad_input_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run("ci", plan(list(TARGETS), 400_000))
    run.until(SECONDS)
    assert [found.error for found in run.found] == []
    assert set(run.done) == set(TARGETS)
    tried = sum(run.done.values())
    assert tried >= AT_LEAST
    with capsys.disabled():
        print(f"\n{tried:,} cases in {SECONDS:g} s over {len(TARGETS)} targets")


def test_case_can_be_had_again_from_its_number() -> None:
    with prepared(["server-3"], "again") as ready:
        make, random = ready["server-3"].make, ready["server-3"].random
        assert [make(random(n)) for n in range(50)] == [make(random(n)) for n in range(50)]
        assert len({make(random(n)) for n in range(50)}) > 40


def test_fault_is_found_made_smaller_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes, rng: object) -> None:
        assert b"!" not in data

    broken = Target("broken", lambda folder: (lambda rng: rng.randbytes(200) + b"!", check), 1)
    monkeypatch.setitem(TARGETS, "broken", broken)
    monkeypatch.setattr("tests.fuzz.endless.CORPUS", tmp_path)
    run = Run("1", {"broken": 100})
    run.until(30)
    assert [(found.number, found.data) for found in run.found] == [(0, b"!")]
    assert [file.read_bytes() for file in (tmp_path / "broken").iterdir()] == [b"!"]
    assert run.done == {"broken": 100}


def test_run_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    counted = Target("counted", lambda folder: (lambda rng: b"", lambda data, rng: numbers.append(1)), 1)
    monkeypatch.setitem(TARGETS, "counted", counted)
    run = Run("1", {"counted": 1000})
    run.until(0)
    assert 0 < len(numbers) < 1000
    run.until(30)
    assert len(numbers) == 1000


def test_every_stage_has_its_targets() -> None:
    for number in catalogue():
        assert {f"{kind}-{number}" for kind in ("server", "client", "whisper", "typed", "sockets")} <= set(TARGETS)


def test_pieces_are_the_whole_again() -> None:
    with prepared(["on-path"], "1") as ready:
        for number in range(200):
            rng = ready["on-path"].random(number)
            data = ready["on-path"].make(rng)
            assert b"".join(pieces(data, rng)) == data


def test_frames_are_apart_as_they_were_joined() -> None:
    assert apart(joined([b"one", b"", b"three"])) == [b"one", b"", b"three"]


def test_two_errors_at_one_line_are_one() -> None:
    def of(text: str) -> str:
        try:
            int(text)
        except ValueError:
            return signature(traceback.format_exc())
        return ""

    assert of("one") == of("two") != ""
    assert of("1") == ""
