"""Filters in tcpdump's language, compiled and run by libpcap."""

import os

import pytest

from attacks import bpf
from common.errors import LabError
from tests.captures import ALICE, BOB, SERVER, tcp, udp


@pytest.fixture
def _libpcap() -> None:
    try:
        bpf._libpcap()
    except LabError:
        pytest.skip("needs libpcap: sudo apt install libpcap0.8")


@pytest.mark.usefixtures("_libpcap")
@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ("tcp port 5001", [True, False]),
        ("udp", [False, True]),
        (f"host {SERVER}", [True, False]),
        (f"src {ALICE} and not dst {BOB}", [True, False]),
        ("greater 1000", [False, False]),
        ("", [True, True]),
    ],
)
def test_filter_takes_what_it_says(expression: str, matches: list[bool]) -> None:
    match = bpf.matching(expression)
    assert [match(frame) for frame in (tcp(b"data", 1), udp(b"data"))] == matches


@pytest.mark.usefixtures("_libpcap")
def test_filter_that_is_none_is_a_sentence() -> None:
    with pytest.raises(LabError, match=r"^--bpf 'prot 80 und' is no filter \(.*\); one is: --bpf 'tcp port 5001'\.$"):
        bpf.matching("prot 80 und")


@pytest.mark.usefixtures("_libpcap")
def test_bytes_that_are_no_text_are_no_filter() -> None:
    with pytest.raises(LabError, match=r"^--bpf 'udp\\udcff' is no filter \("):
        bpf.matching(os.fsdecode(b"udp\xff"))


def test_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "LIBRARIES", ("libnosuchthing.so",))
    with pytest.raises(LabError, match=r"^--bpf needs libpcap, which is not here; install it: "):
        bpf.matching("tcp")
