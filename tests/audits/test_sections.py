"""The audits' sections: all there, in order, and true of the code where that can be compared."""

import inspect
import re
from collections.abc import Iterator

import msgspec

import attacks
from lab import audits
from lab.audit_blocks import blocks
from stages import Stage
from tests.audits.pages import each_stage, handout, sections, session_of

SECTIONS = (
    "Summary",
    "Target and goals",
    "Coverage",
    "Threat model",
    "The protocol",
    "Maturity",
    "Findings",
    "What stage N-1 left open",
    "What held, and why",
    "Residual risk",
    "Recommendation",
    "Reproducing it",
)
OWN = {4: {"The protocol": "PKI audit"}}
"""The sections that one stage's audit has beside these, by what they stand behind."""

MATURITY = {
    "Authentication",
    "Authorisation",
    "Cryptography",
    "Key management",
    "Transport",
    "Input validation",
    "Logging and alarms",
    "Availability",
    "Testing",
}
RATINGS = ("Strong", "Satisfactory", "Moderate", "Weak", "Missing")


def expected_sections(stage: Stage) -> list[str]:
    """The headings that the stage's audit has, in order."""
    names: list[str] = []
    for name in SECTIONS:
        if "N-1" not in name:
            names.append(name)
        elif stage.number > 1:
            names.append(name.replace("N-1", str(stage.number - 1)))
        if name in OWN.get(stage.number, {}):
            names.append(OWN[stage.number][name])
    return names


@each_stage
def test_every_section_is_there_and_in_its_place(stage: Stage) -> None:
    assert list(sections(audits.read(stage))) == expected_sections(stage)


def questions(stage: Stage) -> list[tuple[str, str]]:
    """The goals of the audit: each question, and its answer. A table, or a list with the questions in italics."""
    goals = sections(audits.read(stage))["Target and goals"]
    _, found, table = goals.partition("| Question | Answer |\n|---|---|\n")
    if found:
        return re.findall(r"^\| ([^|]+) \| (.+) \|$", table.split("\n\n")[0], re.MULTILINE)
    return re.findall(r"^\d+\. \*([^*]+)\*(.*(?:\n   .*)*)", goals, re.MULTILINE)


@each_stage
def test_goals_are_questions_answered_by_a_finding_a_held_cell_or_a_test(stage: Stage) -> None:
    asked = questions(stage)
    assert 5 <= len(asked) <= 8
    ids = {finding.id for finding in audits.findings_of(stage)}
    for question, answer in asked:
        assert question.strip().endswith("?"), question
        named = set(re.findall(r"\bS\d-\d\d\b", answer))
        assert named <= ids, question
        held = [cell for cell in re.findall(r"`(\w+/\w+)`", answer) if expected(cell, stage) == "held"]
        assert named or held or re.search(r"`test_\w+`", answer), question


def expected(cell: str, stage: Stage) -> str:
    """The verdict that is expected of a cell; nothing where the words are no cell's."""
    name, _, goal = cell.partition("/")
    if name not in attacks.names():
        return ""
    return attacks.find(name).goal(goal).expected_at(stage.number)


@each_stage
def test_maturity_has_every_row_with_a_rating_and_a_reason(stage: Stage) -> None:
    rows = re.findall(r"^\| ([^|]+) \| (\w+) \| ([^|]+) \|$", sections(audits.read(stage))["Maturity"], re.MULTILINE)
    assert {area for area, _, why in rows if why.strip()} - {"Area"} == MATURITY
    assert {rating for area, rating, _ in rows if area in MATURITY} <= set(RATINGS)


@each_stage
def test_what_is_visible_to_whom_has_a_column_for_each_who(stage: Stage) -> None:
    protocol = sections(audits.read(stage))["The protocol"]
    (heads,) = re.findall(r"^\| What \|(.*)\|$", protocol, re.MULTILINE | re.IGNORECASE)
    assert {"tap", "on-path", "server"} <= {head.strip().lower() for head in heads.split("|")}


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
    (table,) = (block.body for block in blocks(audits.read(stage)) if block.kind == "fields")
    listed: list[tuple[str, str]] = []
    message = ""
    for row in table.splitlines()[2:]:
        first, second, _ = (cell.strip() for cell in row.strip("|").split("|", 2))
        message = first.strip("*`") or message
        listed.append((message, second.strip("`")))
    declared = [(tag, name) for tag, kind in stage.messages.items() for name in ("type", *declared_fields(kind))]
    assert listed == declared


def diagram(stage: Stage) -> str:
    """The audit's sequence diagram."""
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", sections(audits.read(stage))["The protocol"], re.DOTALL)
    return str(drawn)


@each_stage
def test_sequence_diagram_shows_every_message_and_no_other(stage: Stage) -> None:
    drawn = set(re.findall(r"^ +\w+->>\w+: ([\w-]+)", diagram(stage), re.MULTILINE))
    assert drawn | set(re.findall(r"\brefused\b", diagram(stage))) == set(stage.messages)


@each_stage
def test_sequence_diagram_dashes_the_packets_that_are_no_message(stage: Stage) -> None:
    dashed = re.findall(r"^ +\w+-->>\w+: (\w+)", diagram(stage), re.MULTILINE)
    assert {"DNS", "TCP"} <= set(dashed) <= {"ARP", "DNS", "TCP", "TLS"}
    assert ("TLS" in dashed) == stage.wants_authority


@each_stage
def test_functions_that_an_audit_or_handout_names_exist(stage: Stage) -> None:
    named = re.findall(r"`(ServerSession|ClientSession)\.(\w+)`", audits.read(stage) + handout(stage))
    assert named
    for owner, name in named:
        session = session_of(stage, owner)
        source = inspect.getsource(session)
        assert hasattr(session, name) or f"self.{name}" in source, f"{owner}.{name}"
