"""The audits say what a run shows, and the handouts and the README say what there is."""

import asyncio
import importlib
import inspect
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import attacks
import stages
from common.errors import LabError
from common.lan import LanUnavailable
from common.levers import Levers
from common.session import Person, Show
from common.wire import WireError, decoder
from lab import audits, matrix
from lab.audits import AuditFinding
from lab.bench import Bench, Cell
from lab.cli import STAGE_VERBS
from lab.report import story
from lab.runs import ROOT
from lab.verbs import Options
from stages import Stage
from tests.room import room, run

STAGES = list(stages.catalogue().values())
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "INSTRUCTORS.md", "CHANGELOG.md")]
PAGES += [stage.folder / "README.md" for stage in STAGES] + [audits.path_of(stage) for stage in STAGES]

CWE = {
    200: "Exposure of Sensitive Information to an Unauthorized Actor",
    203: "Observable Discrepancy",
    223: "Omission of Security-relevant Information",
    290: "Authentication Bypass by Spoofing",
    294: "Authentication Bypass by Capture-replay",
    300: "Channel Accessible by Non-Endpoint",
    306: "Missing Authentication for Critical Function",
    319: "Cleartext Transmission of Sensitive Information",
    322: "Key Exchange without Entity Authentication",
    324: "Use of a Key Past its Expiration Date",
    345: "Insufficient Verification of Data Authenticity",
    346: "Origin Validation Error",
    522: "Insufficiently Protected Credentials",
    523: "Unprotected Transport of Credentials",
    654: "Reliance on a Single Factor in a Security Decision",
    668: "Exposure of Resource to Wrong Sphere",
    924: "Improper Enforcement of Message Integrity During Transmission in a Communication Channel",
}
"""The weaknesses that the audits name, as the CWE list calls them."""

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"stage-{stage.number}")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Run:
    """What running every cell that an audit cites has given."""

    def __init__(self, bodies: dict[str, str], cells: list[Cell]) -> None:
        self.bodies = bodies
        self.cells = {cell.id: cell for cell in cells if not cell.levers}


@pytest.fixture(scope="module")
def ran() -> dict[int, Run]:
    """Every audit's evidence, run once on the network that NETWORK= names, or the best there is."""

    async def every() -> dict[int, Run]:
        async def one(bench: Bench, stage: Stage) -> Run:
            return Run(*await audits.evidence_of(bench, stage, audits.read(stage)))

        async with matrix.benches(os.environ.get("NETWORK") or "auto") as side_by_side:
            runs = await matrix.shared(side_by_side, STAGES, one)
            return {stage.number: run for stage, run in zip(STAGES, runs, strict=True)}

    try:
        return asyncio.run(every())
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")


def broken_cells(stage: Stage) -> set[str]:
    """The cells that are expected to be broken at this stage with its own levers, but for those that are a matter of
    the network (`lan_only`), the same at every stage."""
    return {
        f"{attack.name}/{goal.name}"
        for attack in attacks.catalogue()
        for goal in attack.goals
        if goal.expected_at(stage.number) == "broken" and not goal.lan_only
    }


def section(text: str, finding: AuditFinding) -> str:
    """A finding's part of the audit."""
    return text.split(f"### {finding.id}: ")[1].split("\n### ", maxsplit=1)[0].split("\n## ", maxsplit=1)[0]


# Findings and evidence


@each_stage
def test_every_finding_names_cells_that_are_broken_at_this_stage(stage: Stage) -> None:
    found = audits.findings(audits.read(stage))
    assert found
    for finding in found:
        assert finding.cells, finding.id
        assert set(finding.cells) <= broken_cells(stage), finding.id


@each_stage
def test_every_cell_that_is_broken_at_this_stage_has_one_finding(stage: Stage) -> None:
    cells = [cell for finding in audits.findings(audits.read(stage)) for cell in finding.cells]
    assert sorted(cells) == sorted(broken_cells(stage))


@each_stage
def test_every_heading_of_a_finding_is_understood_and_numbered_in_order(stage: Stage) -> None:
    text = audits.read(stage)
    headings = re.findall(r"^### (S\d+-\d+)", text, re.MULTILINE)
    assert headings == [f"S{stage.number}-{n:02d}" for n in range(1, len(headings) + 1)]
    assert headings == [finding.id for finding in audits.findings(text)]


@each_stage
def test_every_finding_has_all_its_parts_and_evidence_for_each_cell(stage: Stage) -> None:
    text = audits.read(stage)
    for finding in audits.findings(text):
        part = section(text, finding)
        for word in ("Description", "Exploit scenario", "Evidence", "Recommendation"):
            assert f"**{word}.**" in part, finding.id
        assert [block.about for block in audits.blocks(part)] == list(finding.cells)
        assert finding.severity in ("High", "Medium", "Low")
        assert finding.difficulty in ("High", "Medium", "Low")


@each_stage
def test_audit_is_what_a_run_gives_byte_for_byte(stage: Stage, ran: dict[int, Run]) -> None:
    text = audits.read(stage)
    assert audits.regenerated(text, stage, ran[stage.number].bodies) == text, "run: make audits"


@each_stage
def test_every_finding_is_still_true(stage: Stage, ran: dict[int, Run]) -> None:
    assert audits.not_broken(audits.read(stage), ran[stage.number].cells.values()) == []


@each_stage
def test_evidence_has_nothing_random_in_it(stage: Stage) -> None:
    for block in audits.blocks(audits.read(stage)):
        if block.kind == "evidence":
            assert not re.search(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]{12}|frame", block.body)


def test_finding_whose_cell_held_is_named() -> None:
    text = audits.read(stages.find(1))
    held = Cell("sniffer", "room", "", 1, {}, "held", False, "")
    turned = Cell("sniffer", "whispers", "", 1, {"framing": "none"}, "held", False, "")
    assert [(f.id, cell.id) for f, cell in audits.not_broken(text, [held, turned])] == [("S1-01", "sniffer/room")]


def test_regenerate_writes_nothing_where_a_finding_is_no_longer_true(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def held(bench: Bench, stage: Stage, text: str) -> tuple[dict[str, str], list[Cell]]:
        return dict.fromkeys(audits.cited(text), ""), [Cell("mitm", "read", "", 1, {}, "held", False, "")]

    def write(path: Path, text: str) -> None:
        pytest.fail(f"{path} was written")

    async def verdicts(bench: Bench, ran: dict[Stage, list[Cell]]) -> dict[tuple[str, int], str]:
        return expected_verdicts()

    monkeypatch.setattr(audits, "evidence_of", held)
    monkeypatch.setattr(audits, "verdicts_of", verdicts)
    monkeypatch.setattr(audits, "write_text", write)
    assert asyncio.run(audits.regenerate(Options(network="loopback", json=True))) == 1
    assert "S1-06 cites mitm/read" in json.loads(capsys.readouterr().out)["not_broken"]


def test_unknown_block_is_one_sentence() -> None:
    with pytest.raises(LabError, match=r"has a block picture; there are: evidence, fields, findings\.$"):
        audits.regenerated("<!-- picture -->\n<!-- /picture -->", stages.find(1), {})


@each_stage
def test_weaknesses_are_called_as_the_cwe_list_calls_them(stage: Stage) -> None:
    text = audits.read(stage)
    for finding in audits.findings(text):
        match = re.fullmatch(r"\[CWE-(\d+): ([^\]]+)\]\((.+)\)", finding.weakness)
        assert match, finding.id
        number, name, link = match.groups()
        assert CWE[int(number)] == name
        assert link == f"https://cwe.mitre.org/data/definitions/{number}.html"


@each_stage
def test_audit_is_shown_without_its_markers_where_nobody_looks(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    audits.show(stage)
    shown = capsys.readouterr().out
    assert "<!--" not in shown
    assert "‹canary›" in shown


# The protocol


def declared_fields(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The names that cross the wire, found in another way than the table finds them."""
    for name, on_wire in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        yield prefix + on_wire
        inner = getattr(inspect.get_annotations(kind).get(name), "__args__", ())
        for item in inner:
            if isinstance(item, type) and issubclass(item, msgspec.Struct):
                yield from declared_fields(item, f"{on_wire}[].")


@each_stage
def test_table_of_fields_has_every_declared_field_and_no_other(stage: Stage) -> None:
    (table,) = (block.body for block in audits.blocks(audits.read(stage)) if block.kind == "fields")
    listed: list[tuple[str, str]] = []
    message = ""
    for row in table.splitlines()[2:]:
        first, second, _ = (cell.strip() for cell in row.strip("|").split("|", 2))
        message = first.strip("*`") or message
        listed.append((message, second.strip("`")))
    declared = [(tag, name) for tag, kind in stage.messages.items() for name in ("type", *declared_fields(kind))]
    assert listed == declared


@each_stage
def test_sequence_diagram_shows_every_message_and_no_other(stage: Stage) -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", audits.read(stage), re.DOTALL)
    drawn = set(re.findall(r"^ +\w+->>\w+: ([\w-]+)", diagram, re.MULTILINE))
    assert drawn | set(re.findall(r"\brefused\b", diagram)) == set(stage.messages)


@each_stage
def test_functions_that_an_audit_or_handout_names_exist(stage: Stage) -> None:
    named = re.findall(r"`(ServerSession|ClientSession)\.(\w+)`", audits.read(stage) + handout(stage))
    assert named
    for owner, name in named:
        session = session_of(stage, owner)
        source = inspect.getsource(session)
        assert hasattr(session, name) or f"self.{name}" in source, f"{owner}.{name}"


@each_stage
def test_lines_that_a_handout_quotes_stand_in_the_function_that_it_names(stage: Stage) -> None:
    rows = re.findall(r"^\| S[^|]+\| `([^`]+)`[^|]*\| `(\w+)\.(\w+)`", handout(stage), re.MULTILINE)
    assert rows
    for line, owner, name in rows:
        session = session_of(stage, owner)
        assert line in inspect.getsource(getattr(session, name)), f"{owner}.{name}"


def session_of(stage: Stage, owner: str) -> Any:
    """The class ServerSession or ClientSession of a stage."""
    module = "server" if owner == "ServerSession" else "client"
    return getattr(importlib.import_module(f"stages.{stage.package}.{module}"), owner)


def handout(stage: Stage) -> str:
    """The stage's README."""
    return (stage.folder / "README.md").read_text(encoding="utf-8")


# By hand


def fenced(text: str, language: str) -> list[str]:
    """The blocks of code in one language."""
    return [block.strip() for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]


def test_lines_for_nc_in_the_handout_of_stage_1_do_what_it_says() -> None:
    join, say, refused = fenced(handout(stages.find(1)), "json")
    (screen,) = (block for block in fenced(handout(stages.find(1)), "text") if "joined" in block)

    async def conversation() -> None:
        async with room() as house:
            alice, bob = await house.bystanders()
            mallory = await house.peer()
            await mallory.send(join.encode() + b"\n", say.encode() + b"\n", b"hello\n")
            for member in (alice, bob):
                shown = [await member.next(), await member.next()]
                assert "\n".join(f"{s.sender}: {s.text}" if s.sender else f"* {s.text}" for s in shown) == screen
            *_, last = await mallory.rest()
            assert last == json.loads(refused)

    run(conversation())


def test_datagram_for_nc_in_the_handout_of_stage_1_is_a_whisper() -> None:
    stage = stages.find(1)
    ((datagram,),) = [re.findall(r"printf %s '(\{.*?\})' \| nc -u", handout(stage))]
    bob = stage.client(Levers.parse("", stage.levers), Person("bob", 9))
    bob.received(decoder(bob.accepts).decode(b'{"type":"joined","name":"alice","address":"127.0.0.1","udp_port":9}'))
    (shown,) = bob.datagram(decoder(bob.whispers).decode(datagram.encode()), ("127.0.0.1", 1))
    assert isinstance(shown, Show)
    assert f"{shown.sender} (whispers): {shown.text}" in fenced(handout(stage), "text")


def test_flood_in_the_handout_of_stage_1_is_made_of_messages() -> None:
    stage = stages.find(1)
    (command,) = (block for block in fenced(handout(stage), "sh") if "flood" in block)
    said = re.findall(r"'(\{.*?\})'", command)
    assert len(said) == 2
    for line in said:
        try:
            decoder(session_of(stage, "ServerSession").accepts).decode(line.replace("%01000d", "0" * 1000).encode())
        except WireError as error:
            pytest.fail(str(error))


# Commands and links


def commands(text: str) -> list[list[str]]:
    """Every `make …` in code, as words."""
    code = re.findall(r"`(make [^`]+)`", text) + [
        line.strip() for block in fenced(text, "sh") for line in block.splitlines() if line.strip().startswith("make ")
    ]
    return [shlex.split(line, comments=True) for line in code]


@each_page
def test_every_make_command_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^TARGETS := (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    values = set(re.search(r"^KNOWN := ([A-Z_ \\\n]+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    to_come = {"night_call"} if page.name == "CONTRIBUTING.md" else set()
    for _make, *words in commands(page.read_text(encoding="utf-8")):
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        goals = [word for word in words if "=" not in word]
        assert set(settings) <= values, words
        if goals[0].startswith("stage-"):
            stage, verb = goals
            levers = stages.find(int(stage.removeprefix("stage-"))).levers
            Levers.parse(settings.get("LEVERS", ""), levers)
            assert verb in {*STAGE_VERBS, *attacks.names(), *to_come}, words
            if "GOAL" in settings:
                attacks.find(verb).goal(settings["GOAL"])
        else:
            assert set(goals) <= targets, words


@each_stage
def test_command_for_each_finding_runs_its_cells(stage: Stage) -> None:
    text = audits.read(stage)
    for finding in audits.findings(text):
        (row,) = re.findall(rf"^\| {finding.id} \| (`make .*`) \|$", text, re.MULTILINE)
        cells: list[str] = []
        for _make, of, verb, *goal in commands(row):
            assert of == f"stage-{stage.number}"
            chosen = [g.removeprefix("GOAL=") for g in goal] or [g.name for g in attacks.find(verb).goals]
            cells += [f"{verb}/{name}" for name in chosen]
        assert cells == list(finding.cells)


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked as."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests or page.name == "CONTRIBUTING.md", name
    for name in re.findall(r"`((?:lab|common|attacks|tests)/\w+(?:/\w+)*\.py)`", text):
        assert (ROOT / name).exists(), name


def test_readme_marks_exactly_those_stages_as_planned_that_have_no_code() -> None:
    rows = re.findall(r"^\| (\d) (.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 9))
    assert [int(number) for number, what in rows if "*planned*" not in what] == list(stages.catalogue())


def expected_verdicts() -> dict[tuple[str, int], str]:
    """What every cell is expected to be; whether it is, the tests of the attacks ask."""
    return {
        (f"{attack.name}/{goal.name}", stage.number): goal.expected_at(stage.number)
        for attack in attacks.catalogue()
        for goal in attack.goals
        for stage in STAGES
    }


def test_matrix_in_the_readme_is_the_expected_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert audits.with_matrix(text, expected_verdicts()) == text, "run: make audits"


def test_matrix_is_monotone() -> None:
    for (cell, number), verdict in expected_verdicts().items():
        later = expected_verdicts().get((cell, number + 1), "held")
        assert not (verdict == "held" and later == "broken"), f"{cell} is held at stage {number} and broken later"


def test_readme_names_every_attack_and_every_verb() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in attacks.names():
        assert f"`{name}`" in text or f"make stage-1 {name}" in text, name
    for verb in STAGE_VERBS:
        assert f"`make stage-1 {verb}" in text, verb


def test_excerpt_in_the_readme_is_what_the_demo_prints(ran: dict[int, Run]) -> None:
    (excerpt,) = fenced((ROOT / "README.md").read_text(encoding="utf-8"), "text")
    for head, after in itertools.pairwise(excerpt.splitlines()):
        if head.startswith("== "):
            name, position = head.removeprefix("== ").rstrip(")").split(" (")
            assert after == story(attacks.find(name))
            assert attacks.find(name).position == position
        if head.startswith("BROKEN"):
            cell = ran[1].cells[head.split()[1].rstrip(":")]
            assert head == f"BROKEN   {cell.id}: {cell.reason}"
            seen, _, frames = after.strip().partition("  ")
            assert re.fullmatch(r"\(frame [\d, ]+\)", frames)
            assert audits.neutral(seen, {}) == audits.neutral(f"{cell.evidence[0].where}: {cell.evidence[0].seen}", {})
