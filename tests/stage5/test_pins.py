"""Stage 5's pins: who is known, who is not, and the file that remembers it."""

from pathlib import Path

import pytest

from common.errors import LabError
from stages.stage5_box.pins import Pin, Pins
from stages.stage5_box.what_if.pinning import NoPins, VerifiedPins

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pins.json"


def test_first_key_is_pinned_and_another_is_refused_also_after_a_restart(file: Path) -> None:
    assert Pins(file).meet("bob", ONE) == "first"
    for _ in range(2):
        pins = Pins(file)
        assert pins.meet("bob", ONE) == "known"
        assert pins.meet("bob", TWO) == "changed"
        assert pins.may_talk("bob", ONE)
        assert not pins.may_talk("bob", TWO)
        assert not pins.may_talk("carol", ONE)


def test_changed_key_is_taken_by_nothing_but_the_persons_word(file: Path) -> None:
    pins = Pins(file)
    pins.meet("bob", ONE)
    assert [pins.meet("bob", TWO) for _ in range(3)] == ["changed"] * 3
    pins.pin("bob", TWO)
    assert pins.meet("bob", TWO) == "known"
    assert pins.meet("bob", ONE) == "changed"


def test_key_under_a_second_name_is_told_whether_that_name_is_known_or_not(file: Path) -> None:
    pins = Pins(file)
    pins.meet("bob", ONE)
    pins.meet("carol", TWO)
    assert pins.meet("dave", ONE) == "shared"
    assert pins.meet("carol", ONE) == "shared"
    assert pins.known == {"bob": Pin(ONE), "carol": Pin(TWO)}
    assert not pins.may_talk("dave", ONE)
    assert not pins.may_talk("carol", ONE)


def test_verified_stays_over_a_restart_and_goes_with_the_key(file: Path) -> None:
    Pins(file).pin("bob", ONE, verified=True)
    assert Pins(file).known["bob"].verified
    Pins(file).pin("bob", TWO)
    assert Pins(file).known == {"bob": Pin(TWO)}


def test_file_is_closed_to_others_and_nothing_else_is_left(file: Path) -> None:
    Pins(file).meet("bob", ONE)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["pins.json"]


def test_crash_while_writing_leaves_what_was_known(file: Path) -> None:
    Pins(file).meet("bob", ONE)
    file.with_name(".pins.json-00c0ffee.part").write_bytes(b'{"bob"')
    assert Pins(file).meet("bob", TWO) == "changed"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b'{"bob"',
        b'{"bob":{}}',
        b'{"bob":{"key":"AAAA"}}',
        b'{"bob":{"key":5}}',
        b'{"bob":{"key":"","verified":true}}',
        b'{"bob":{"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","of":2}}',
        b"\xff",
    ],
)
def test_damaged_file_is_one_sentence_and_stays(file: Path, damaged: bytes) -> None:
    file.write_bytes(damaged)
    file.chmod(0o600)
    with pytest.raises(LabError, match=r"is damaged .* move it away, and compare all keys anew") as error:
        Pins(file)
    assert "\n" not in str(error.value)
    assert file.read_bytes() == damaged


def test_file_that_others_can_change_is_refused(file: Path) -> None:
    Pins(file).meet("bob", ONE)
    file.chmod(0o622)
    with pytest.raises(LabError, match="can be changed by others; close it with: chmod 600"):
        Pins(file)


# The other ways.


def test_verified_talks_to_nobody_whose_number_was_not_compared(file: Path) -> None:
    pins = VerifiedPins(file)
    assert pins.meet("bob", ONE) == "first"
    assert not pins.may_talk("bob", ONE)
    assert pins.why_not("bob", ONE) == "you have not compared keys; type /verify bob"
    pins.pin("bob", ONE, verified=True)
    assert pins.may_talk("bob", ONE)
    assert not pins.may_talk("bob", TWO)
    assert "/trust bob" in pins.why_not("bob", TWO)
    pins.pin("bob", TWO)
    assert not pins.may_talk("bob", TWO)


def test_no_pins_believe_everything_and_write_nothing(file: Path) -> None:
    pins = NoPins(file)
    assert [pins.meet("bob", key) for key in (ONE, TWO, THREE)] == ["known"] * 3
    assert pins.may_talk("bob", THREE)
    assert not file.exists()
