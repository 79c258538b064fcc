"""Findings: the anatomy is read strictly, and every row of every finding is true."""

import re
import sys
from pathlib import Path

import pytest

import attacks
from common.errors import LabError
from lab import audits
from lab.audit_blocks import check_kinds
from lab.findings import PARTS, Finding, findings, machine_rows, written_anew
from lab.runs import ROOT
from lab.scores import score
from stages import Stage
from tests.audits.pages import FIELD, STAGES, broken_cells, each_stage

CWE = {
    201: "Insertion of Sensitive Information Into Sent Data",
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
    1007: "Insufficient Visual Distinction of Homoglyphs Presented to User",
}
"""The weaknesses that the audits name, as the CWE list calls them."""

each_audit = pytest.mark.parametrize(
    "page", [*(audits.path_of(stage) for stage in STAGES), *FIELD], ids=lambda page: page.name
)


def found_in(page: Path) -> list[Finding]:
    """The findings of an audit."""
    return findings(page.read_text(encoding="utf-8"), page.name)


# Total both ways


@each_stage
def test_every_finding_names_cells_that_are_broken_at_this_stage(stage: Stage) -> None:
    for finding in audits.findings_of(stage):
        assert set(finding.cells) <= broken_cells(stage), finding.id


@each_stage
def test_every_cell_that_is_broken_at_this_stage_has_one_finding(stage: Stage) -> None:
    cells = [cell for finding in audits.findings_of(stage) for cell in finding.cells]
    assert sorted(cells) == sorted(broken_cells(stage))


@each_stage
def test_positions_of_a_finding_are_those_of_its_cells(stage: Stage) -> None:
    for finding in audits.findings_of(stage):
        positions = {attacks.find(cell.partition("/")[0]).position for cell in finding.cells}
        assert sorted(finding.positions) == sorted(positions), finding.id


@each_audit
def test_findings_are_numbered_in_order(page: Path) -> None:
    of = re.sub(r"\D*(\d).*", r"S\1", page.stem) if page not in FIELD else "F1"
    found = found_in(page)
    assert found
    assert [finding.id for finding in found] == [f"{of}-{n:02d}" for n in range(1, len(found) + 1)]


# What the rows say


@each_audit
def test_severity_score_and_line_are_those_of_the_vector_and_the_code(page: Path) -> None:
    for finding in found_in(page):
        assert finding.rows == {**finding.rows, **machine_rows(finding, page)}, f"{finding.id}: run: make audits"


@each_stage
def test_code_that_a_finding_quotes_is_the_stages_own_or_common(stage: Stage) -> None:
    for finding in audits.findings_of(stage):
        assert finding.code, finding.id
        assert finding.code.link.startswith((f"../stages/{stage.package}/", "../common/")), finding.id
        assert finding.code.link.endswith(f"/{finding.code.label}"), finding.id


@each_audit
def test_test_that_holds_a_finding_exists(page: Path) -> None:
    for finding in found_in(page):
        for test in finding.held_by:
            file = ROOT / "audits" / test.link
            assert test.link == f"../{test.label}", finding.id
            assert f"def {test.name}(" in file.read_text(encoding="utf-8"), finding.id


@each_audit
def test_weaknesses_are_called_as_the_cwe_list_calls_them(page: Path) -> None:
    for finding in found_in(page):
        match = re.fullmatch(r"\[CWE-(\d+): ([^\]]+)\]\((.+)\)", finding.rows["Weakness"])
        assert match, finding.id
        number, name, link = match.groups()
        assert CWE[int(number)] == name
        assert link == f"https://cwe.mitre.org/data/definitions/{number}.html"


@each_audit
def test_every_part_of_a_finding_says_something(page: Path) -> None:
    for finding in found_in(page):
        for part in PARTS:
            said = rf"^\*\*{part}\.\*\*(?: \S|\n\n<!-- evidence)"
            assert re.search(said, finding.text, re.MULTILINE), f"{finding.id}: {part}"


def test_score_and_rating_are_the_published_ones() -> None:
    """CVE-2021-44228 (Log4j) in FIRST's list of CVSS 4.0 examples, and a vector in which nothing is lost."""
    log4j = score("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H")
    assert (log4j.value, log4j.rating) == (10.0, "Critical")
    nothing = score("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N")
    assert (nothing.value, nothing.rating) == (0.0, "None")


def test_missing_library_for_scores_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvss", None)
    with pytest.raises(LabError, match=r"^Scores need the library cvss, .* run: make audits$"):
        score("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N")


# The anatomy

CODE = "`return text` in `ClientSession.seal`, [client.py](../stages/stage1_plaintext/client.py)"
HELD_BY = "`test_words`, in [tests/stage1/test_audit.py](../tests/stage1/test_audit.py)"
GOOD = f"""# Audit of nothing

## Findings

### S1-01: A title

| | |
|---|---|
| Severity | |
| Difficulty | Low |
| Weakness | [CWE-200: Name](https://cwe.mitre.org/data/definitions/200.html) |
| CVSS 4.0 | `CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N` |
| Position | tap, insider |
| Cells | `sniffer/room`, `sniffer/whispers` |
| Code | {CODE} |
| Held by | {HELD_BY}; {HELD_BY} |

**Description.** Words.

**Exploit scenario.** Words.

**Evidence.** Words.

<!-- evidence: sniffer/room -->
<!-- /evidence -->

<!-- evidence: sniffer/whispers -->
<!-- /evidence -->

**Recommendation, short term.** Words.

**Recommendation, long term.** Words.

## What held, and why
"""


def test_good_finding_is_read() -> None:
    (finding,) = findings(GOOD, "page.md")
    assert (finding.id, finding.title, finding.difficulty) == ("S1-01", "A title", "Low")
    assert finding.vector == "CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
    assert finding.cells == ("sniffer/room", "sniffer/whispers")
    assert finding.positions == ("tap", "insider")
    assert finding.code
    assert (finding.code.text, finding.code.owner) == ("return text", "ClientSession.seal")
    assert [test.name for test in finding.held_by] == ["test_words", "test_words"]


def test_severity_score_and_line_are_written_and_nothing_else_changes() -> None:
    page = ROOT / "audits" / "page.md"
    written = written_anew(GOOD, page)
    assert "| Severity | High |\n" in written
    assert "| CVSS 4.0 | 7.1 (High) `CVSS:4.0/AV:A/" in written
    assert re.search(r"client\.py\)?.*client\.py#L\d+\) \|\n", written)
    assert written_anew(written, page) == written
    assert len(written.splitlines()) == len(GOOD.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("### S1-01: A title", "### S1-1: A title", "its heading is not understood; expected ### S1-01: Title."),
        ("|---|---|", "|---|", "its table is not understood; expected | | | and"),
        ("| Position | tap, insider |\n", "", "then the rows Severity, Difficulty,"),
        (
            "| Difficulty | Low |",
            "| Difficulty | Easy |",
            "its difficulty is 'Easy'; expected one of Low,",
        ),
        ("[CWE-200: Name]", "[CWE 200]", "its row Weakness is"),
        ("/AV:A", "", "expected all base metrics in order"),
        ("/SA:N`", "/SA:N/E:P`", "its row CVSS 4.0 is"),
        ("tap, insider", "tap and insider", "its row Position is 'tap and insider'; expected some of tap, on-path,"),
        ("`sniffer/room`, ", "sniffer/room, ", "its row Cells is"),
        (" in `ClientSession.seal`", "", "its row Code is"),
        ("`test_words`, in", "test_words in", "its row Held by is"),
        ("**Evidence.**", "**Proof.**", "its parts are Description, Exploit scenario, Proof,"),
        (
            "<!-- evidence: sniffer/room -->\n<!-- /evidence -->\n",
            "",
            "it has evidence of sniffer/whispers; expected",
        ),
    ],
)
def test_malformed_finding_is_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(LabError, match=rf"^page\.md, S1-\d+: .*{re.escape(sentence)}"):
        findings(GOOD.replace(old, new), "page.md")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("`return text`", "`return sealed`", "No line of ClientSession.seal in client.py has the text return sealed;"),
        ("ClientSession.seal", "ClientSession.shut", "There is no ClientSession.shut in client.py;"),
        ("stage1_plaintext/client.py", "stage1_plaintext/cli.py", "There is no file cli.py"),
    ],
)
def test_code_that_is_not_there_is_one_sentence(old: str, new: str, sentence: str) -> None:
    with pytest.raises(LabError, match=rf"^page\.md, S1-01: {re.escape(sentence)}"):
        written_anew(GOOD.replace(old, new), ROOT / "audits" / "page.md")


def test_audit_without_findings_is_one_sentence() -> None:
    with pytest.raises(LabError, match=r"^page\.md has no section ## Findings;"):
        findings("# Audit of nothing\n", "page.md")


def test_unknown_block_is_one_sentence() -> None:
    with pytest.raises(LabError, match=r"has a block picture; there are: evidence, fields\.$"):
        check_kinds("<!-- picture -->\n<!-- /picture -->", "page.md", {"evidence": None, "fields": None})
