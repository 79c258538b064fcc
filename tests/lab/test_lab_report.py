"""The lab report: what it fills in is what the capture holds, and what it asks can be looked up there."""

import asyncio
import html.parser
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

import stages
from common.errors import LabError
from common.levers import Levers
from lab import capture_lab, report_figures
from lab.bench import Bench
from lab.capture_lab import conversation
from lab.cli import run as lab
from lab.facts import CLIENT_FILE
from lab.report_figures import Figures
from lab.report_page import shortened
from lab.report_questions import QUESTIONS
from tests.lab.captures import fields

NETWORK = os.environ.get("NETWORK") or "auto"
TOPICS = ("resolv|addresses", "bind", "many clients", "UDP", "event loop", "denial", "frame them", "NAT")
"""What the classic report is about, in this order."""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A run of the capture lab at a stage that can be read, and at one that cannot."""

    async def play(number: int) -> Path:
        stage, folder = stages.find(number), tmp_path_factory.mktemp(f"stage{number}")
        async with Bench.open(NETWORK) as bench:
            lines = conversation(Random(7))
            await capture_lab.play(bench, stage, Levers(known=stage.levers), lines)
            capture_lab.write(bench.recordings["control"], folder)
        return folder

    return {number: asyncio.run(play(number)) for number in (1, 4)}


@pytest.fixture
def here(captured: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write reports into, in which nothing was run yet."""
    monkeypatch.chdir(tmp_path)
    return captured[1]


def figures(folder: Path) -> Figures:
    return Figures.of(folder / CLIENT_FILE)


def test_report_fills_in_what_tshark_shows(here: Path) -> None:
    found, file = dict(figures(here).rows()), here / CLIENT_FILE
    syn = fields(file, "frame.number", "ip.src", "tcp.srcport", where="tcp.flags.syn == 1 && tcp.flags.ack == 0")[0]
    assert found["Client 1"].startswith(f"alice, {syn[1]} port {syn[2]}, ")
    assert found["Handshake"].startswith(f"frames {syn[0]}, ")
    assert found["Frames"].startswith(f"{len(fields(file, 'frame.number', where='frame'))}: ")
    synack, third = (
        fields(file, "frame.time_epoch", where=f"frame.number == {number}")[0][0]
        for number in re.findall(r"\d+", found["Handshake"])[:2]
    )
    said = re.search(r"round trip ([\d.]+) ms", found["Handshake"])
    assert said
    assert abs(Decimal(said[1]) - (Decimal(third) - Decimal(synack)) * 1000) <= Decimal("0.001")


def test_report_draws_one_of_each_kind(here: Path) -> None:
    assert lab(["report", str(here)]) == 0
    text = Path("report-stage1.md").read_text()
    diagram = text[text.index("```mermaid") : text.index("```\n", text.index("```mermaid") + 3)]
    kinds = ("DNS", "SYN seq=0 len=0", "SYN ACK", "join", "roster", "say", "whisper", "FIN")
    assert [kind for kind in kinds if kind not in diagram] == []
    assert diagram.count("->>") < 25


def test_report_asks_what_the_classic_one_asks() -> None:
    asked = [f"{question.title} {question.asks}" for question in QUESTIONS]
    assert len(asked) == len(TOPICS)
    for topic, text in zip(TOPICS, asked, strict=True):
        assert re.search(topic, text, re.IGNORECASE), (topic, text)


@pytest.mark.parametrize("number", [1, 4])
def test_every_question_points_to_a_frame_of_the_capture_or_to_a_file(number: int, captured: dict[int, Path]) -> None:
    found = figures(captured[number])
    for question in QUESTIONS:
        see = question.see(found)
        frames = [int(n) for n in re.findall(r"frames? (\d+)", see)]
        assert frames or "`" in see or ".pcapng" in see, see
        assert all(1 <= frame <= found.facts.frames for frame in frames)


def test_report_that_is_there_is_never_written_over_unasked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("report-stage1.md").write_text("my answers")
    assert lab(["stage-1", "report", str(here)]) == 2
    assert "may hold your answers; add --force" in capsys.readouterr().err
    assert Path("report-stage1.md").read_text() == "my answers"
    assert lab(["stage-1", "report", str(here), "--write", "other.md"]) == 0
    assert lab(["stage-1", "report", str(here), "--force"]) == 0
    assert Path("report-stage1.md").read_text() == Path("other.md").read_text()


def test_report_without_a_capture_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab(["stage-1", "report"]) == 2
    assert capsys.readouterr().err == "There is no capture of stage 1 yet; make one: make stage-1 capture\n"
    assert list(tmp_path.iterdir()) == []


def test_report_of_another_stage_is_sent_there(
    captured: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab(["stage-1", "report", str(captured[4])]) == 2
    assert "make stage-4 report FILE=" in capsys.readouterr().err


def test_report_on_sealed_messages_claims_nothing_about_them(captured: dict[int, Path]) -> None:
    found = dict(figures(captured[4]).rows())
    assert found["Merged"].startswith("sealed")
    assert "Long message" not in found


class Loads(html.parser.HTMLParser):
    """What a page would load, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.loaded += [tag] * (tag in ("script", "link", "img", "iframe", "object", "embed"))
        if tag not in ("meta", "line", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [f"{name}={value}" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_loads_nothing_and_is_whole(here: Path) -> None:
    assert lab(["report", str(here), "--html"]) == 0
    page = Path("report-stage1.html").read_text()
    reader = Loads()
    reader.feed(page)
    assert reader.loaded == []
    assert reader.open == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.count("break-before: page") == 1
    assert "size: A4" in page


def test_page_escapes_what_a_file_says(here: Path) -> None:
    folder = Path("runs/20260101-000000-stage1-attack-0000")
    folder.mkdir(parents=True)
    cell = {"attack": "<script>", "goal": "x|y", "verdict": "broken", "levers": {}}
    (folder / "verdicts.json").write_text(json.dumps({"cells": [cell, "nonsense", None]}))
    assert lab(["report", str(here), "--html"]) == 0
    assert lab(["report", str(here)]) == 0
    assert "<script>" not in Path("report-stage1.html").read_text()
    assert "1 broken: <script>/x\\|y |" in Path("report-stage1.md").read_text()


def test_attacks_are_told_with_their_newest_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_figures.attacked(1) == "none run here yet: make stage-1 demo"
    for date, verdict, levers in (("01", "held", {}), ("02", "broken", {}), ("03", "held", {"framing": "none"})):
        folder = Path(f"runs/202601{date}-000000-stage1-mitm-0000")
        folder.mkdir(parents=True)
        cell = {"attack": "mitm", "goal": "read", "case": "", "verdict": verdict, "levers": levers}
        (folder / "verdicts.json").write_text(json.dumps({"cells": [cell]}))
    assert report_figures.attacked(1) == "1 broken: mitm/read"


def test_ratio_of_the_runtimes_is_told_where_it_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_figures.measured(tmp_path) == ""
    kept = {"members": 100, "frozen": 3000.0, "threads": {"threads": 102, "spread": 3.0, "wait": 3000.0}}
    kept["asyncio"] = {"threads": 1, "spread": 2.0, "wait": 2.0}
    (tmp_path / "runtimes.json").write_text(json.dumps(kept))
    said = report_figures.measured(tmp_path)
    assert "ratio 1.5" in said
    assert said.endswith("froze 3000 ms+ to 2.0 ms, ratio 1500+")
    (tmp_path / "runtimes.json").write_text("[]")
    assert report_figures.measured(tmp_path) == ""


def test_long_list_ends_with_how_many_more() -> None:
    names = ", ".join(f"attack-{n:03}/goal" for n in range(100))
    short = shortened(names)
    assert len(short) < 720
    kept, _, more = short.rpartition(", and ")
    assert kept.count(",") + 1 + int(more.split()[0]) == 100


def test_capture_that_is_damaged_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cut.pcapng").write_bytes((here / CLIENT_FILE).read_bytes()[:-7])
    with pytest.raises(LabError):
        Figures.of(Path("cut.pcapng"))
    assert lab(["report", "cut.pcapng"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
