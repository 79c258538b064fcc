"""Files that are written whole: what stands there before, between and after."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import LabError
from common.files import in_place_of, write_whole


@pytest.mark.parametrize("lasting", [False, True])
def test_file_is_replaced_whole_closed_to_others_and_nothing_else_is_left(tmp_path: Path, lasting: bool) -> None:
    file = tmp_path / "pins.json"
    for data in (b"the first, which is longer", b"the second"):
        write_whole(file, data, lasting=lasting)
        assert file.read_bytes() == data
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["pins.json"]


def test_what_an_interrupted_run_left_open_to_others_is_not_written_into(tmp_path: Path) -> None:
    left = tmp_path / "key.part"
    left.write_text("half")
    left.chmod(0o666)
    with left.open() as reader:
        write_whole(tmp_path / "key", b"secret")
        assert reader.read() == "half"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_who_writes_at_the_same_time_puts_nothing_half_written_in_place(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    with in_place_of(file) as first:
        first.write(b"half of the fi")
        write_whole(file, b"the second")
        assert file.read_bytes() == b"the second"
        first.write(b"rst")
    assert file.read_bytes() == b"half of the first"
    assert os.listdir(tmp_path) == ["pins.json"]


def test_two_who_write_the_same_file_at_once_both_succeed(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    wholes = (b"a" * 300_000, b"b" * 300_000)
    write_whole(file, wholes[0])
    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write_whole, file, wholes[i % 2]) for i in range(200)]
        while not all(one.done() for one in writing):
            assert file.read_bytes() in wholes
        for one in writing:
            one.result()


@pytest.mark.parametrize("obstacle", ["no folder", "a folder in its place", "a full disk"])
def test_what_cannot_be_written_is_one_sentence_and_the_old_file_stays(
    tmp_path: Path, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "session"
    match obstacle:
        case "no folder":
            file = tmp_path / "nowhere" / "session"
        case "a folder in its place":
            file.mkdir()
        case _:
            file.write_bytes(b"7")
            full = os.open("/dev/full", os.O_WRONLY)  # every write to it fails as on a full disk
            monkeypatch.setattr("common.files.os.open", lambda *_: full)
    with pytest.raises(LabError, match=r"session cannot be written \(.+\); mend that and start again\.$"):
        write_whole(file, b"8")
    if obstacle == "a full disk":
        assert file.read_bytes() == b"7"
