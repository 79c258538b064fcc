"""The field's audit, audits/field-ngircd.md: prose by people, evidence by the bench, as those of the stages.

A run's random parts and addresses are replaced by their names, so that a run on any day and on either network gives
the same bytes; the order of lines, their fields and the verdicts stand as they were.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attacks import Attack
from common.errors import LabError
from common.levers import Levers
from common.text import printable
from lab.audit_blocks import check_kinds, cited, written
from lab.audit_tables import findings_table
from lab.bench import Bench, Cell
from lab.evidence import Legs
from lab.field import NGIRCD, irc, ngircd
from lab.field.attacks import FIELD
from lab.field.verbs import WIDTH, play, what_ifs
from lab.findings import findings, written_anew
from lab.matrix import benches, shared
from lab.report import Report
from lab.runs import ROOT, write_text
from lab.verbs import Options

if TYPE_CHECKING:
    from attacks.listener import Heard

PAGE: Final = ROOT / "audits" / "field-ngircd.md"
_CANARY: Final = re.compile(r"\b(?:room|whisper|password)-[0-9a-f]{12}\b")
_NUMBER: Final = re.compile(r"\b\d{6,8}\b")
_OWN: Final = {"tap": "eve", "outsider": "mallory"}
"""The host from which an attacker speaks to the server."""
_SAID: Final = frozenset({"NICK", "USER", "OPER", "PART", "KILL", "JOIN", "PRIVMSG"})
_WORDS: Final = re.compile(r"(?<= \d{3} )(.*?) :.*")
"""An answer's number and parameters, then what is for people, in which versions differ."""
_ANSWERED: Final = frozenset({"433", "381"})
"""What of an attacker's own conversation with the server is shown."""


async def evidence_of(side_by_side: Sequence[Bench], text: str) -> tuple[dict[str, str], list[Cell]]:
    """Run every cell that the audit cites, once; the blocks' contents, and the cells. Raises LabError."""
    play(side_by_side)

    async def work(bench: Bench, about: str) -> tuple[str, Cell]:
        cell = await run_cited(bench, about)
        return evidence_body(bench, cell), cell

    abouts = cited(text)
    ran = await shared(side_by_side, abouts, work)
    return {about: body for about, (body, _) in zip(abouts, ran, strict=True)}, [cell for _, cell in ran]


async def run_cited(bench: Bench, about: str) -> Cell:
    """Run the cell that a block cites: its id, then levers; without any, also what comes of others."""
    where, _, words = about.partition(" ")
    name, _, goal_name = where.partition("/")
    attack, levers = FIELD[name], Levers.parse(words, NGIRCD.levers)
    goal = attack.goal(goal_name)
    await bench.controlled(NGIRCD, levers)
    cell = await bench.cell(NGIRCD, levers, attack, goal)
    if not words:
        await bench.what_ifs(cell, NGIRCD, attack, goal)
    return cell


def evidence_body(bench: Bench, cell: Cell) -> str:
    """What a run of the cell showed, without anything that another run would show differently."""
    hosts = {host.address: name for name, host in bench.network.hosts.items()}
    rows = [("verdict", f"{cell.verdict}; {'a victim was warned' if cell.told else 'nobody was warned'}")]
    rows += [("because", cell.reason), ("did", neutral(cell.did, hosts))]
    rows += [("seen", f"{e.where}: {neutral(e.seen, hosts)}") for e in cell.evidence]
    rows += [("wire", line) for line in wire(bench, cell, hosts)]
    rows += [("what if", f"{levers}: {verdict}") for levers, verdict in what_ifs(cell).items()]
    return "\n".join(["```text", *(f"{name:<8} {printable(said)}" for name, said in rows if said), "```"])


def neutral(text: str, hosts: Mapping[str, str]) -> str:
    """A text with names in place of what is random or belongs to one network."""
    for address, name in hosts.items():
        text = re.sub(rf"\b{re.escape(address)}\b", name, text)
    return _NUMBER.sub("‹number›", _CANARY.sub("‹canary›", text))


def wire(bench: Bench, cell: Cell, hosts: Mapping[str, str]) -> list[str]:
    """Those lines of the capture that the evidence is about, as they crossed the wire; then how often, if not once."""
    from attacks.listener import Listener

    attack = FIELD[cell.attack]
    legs = Legs(hosts, attack)
    listener = Listener(ngircd.PORT, _with_line)
    counts: Counter[str] = Counter()
    for _, frame in bench.recordings[cell.id].frames:
        for heard in listener.hear(frame):
            ends = legs.ends(heard) if attack.position == "on-path" else _ends(heard, hosts, attack)
            if ends and _telling(heard, ends, attack, cell):
                line = _WORDS.sub(r"\1 :‹words›", heard.fields["line"])
                counts[f"{ends:<17} {neutral(line, hosts)}"] += 1
    times = {1: "", 2: "  (twice)"}
    return [f"{line}{times.get(count, f'  ({count} times)')}" for line, count in counts.items()]


def _with_line(line: bytes) -> dict[str, Any] | None:
    """A line's fields, and the line itself."""
    fields = irc.fields(line)
    return fields and fields | {"line": line.decode(errors="replace").rstrip("\r")}


def _ends(heard: "Heard", hosts: Mapping[str, str], attack: Attack) -> str:
    """`alice → server`; nothing for copies that go to others than Bob and the attacker."""
    source, target = hosts.get(heard.source[0], "?"), hosts.get(heard.target[0], "?")
    return f"{source} → {target}" if target in ("server", "bob", _OWN[attack.position]) else ""


def _telling(heard: "Heard", ends: str, attack: Attack, cell: Cell) -> bool:
    kind, text = heard.fields["type"], heard.fields.get("text", "")
    if kind == "PRIVMSG" and any(evidence.seen.endswith(text) for evidence in cell.evidence):
        return True
    if kind == "OPER":
        return attack.name == "stolen_operator" or any(e.seen == heard.fields["password"] for e in cell.evidence)
    if attack.position == "on-path":  # what became of what Alice said, where something else did
        about = "bob" if cell.goal == "private" else irc.CHANNEL
        there = ends == "alice → mallory" or cell.goal == "private"
        return kind == "PRIVMSG" and cell.goal != "read" and there and heard.fields["to"] == about
    return kind in (_SAID if ends.endswith(" server") else _ANSWERED) and _OWN[attack.position] in ends.split(" → ")


def adapter_table() -> str:
    """How long what had to be written for IRC is."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    lines = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    rows = [f"| [`{name}`](../lab/field/{name}) | {count} |" for name, count in lines.items()]
    return "\n".join(["| File | Lines |", "|---|--:|", *rows, f"| all | {sum(lines.values())} |"])


def regenerated(text: str, evidence: Mapping[str, str]) -> str:
    """The audit with all that a machine writes written anew. Raises LabError."""
    text = written_anew(text, PAGE)
    bodies = {
        "evidence": lambda about: evidence[about],
        "findings": lambda _: findings_table(findings(text, PAGE.name)),
        "adapter": lambda _: adapter_table(),
    }
    check_kinds(text, f"audits/{PAGE.name}", bodies)
    return written(text, bodies)


async def renewed(side_by_side: Sequence[Bench], report: Report) -> tuple[dict[Path, str], list[str]]:
    """For `make audits`: the page as a run gives it, and which finding cites what was not broken; nothing where there
    is no ngircd, which is said. Raises LabError."""
    try:
        ngircd.program()
    except LabError as why:
        report.line(f"audits/{PAGE.name}: left as it is. {why}", "yellow")
        return {}, []
    text = PAGE.read_text(encoding="utf-8")
    bodies, cells = await evidence_of(side_by_side, text)
    held = {cell.id for cell in cells if not cell.levers and cell.verdict != "broken"}
    faults = [f"{f.id} cites {cell}" for f in findings(text, PAGE.name) for cell in f.cells if cell in held]
    return {PAGE: regenerated(text, bodies)}, faults


async def write(options: Options) -> int:
    """`lab field --audit`: this page alone; 1, and nothing written, where a finding's cell held. Raises LabError."""
    ngircd.program()
    report = Report(quiet=options.json)
    async with benches(options.network, WIDTH) as side_by_side:
        pages, faults = await renewed(side_by_side, report)
    changed = pages[PAGE] != PAGE.read_text(encoding="utf-8")
    for fault in faults:
        report.line(f"Not broken, so no longer true: {fault}.", "bold yellow")
    if changed and not faults:
        write_text(PAGE, pages[PAGE])
    report.line(f"audits/{PAGE.name}: {'written anew' if changed and not faults else 'as it was'}.")
    return 1 if faults else 0
