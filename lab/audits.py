"""The audits: prose by people, evidence by the bench.

An audit is a Markdown file, `audits/<stage's slug>.md`. What a machine knows better stands in blocks between two
comments, and `make audits` writes those anew:

    <!-- evidence: sniffer/room -->    one cell, run again; words after the cell's id are levers (framing=none)
    <!-- fields -->                    every field of every message that the stage declares
    <!-- findings -->                  the findings below, in a table

A run's random parts (canaries, the numbers that attacks make up, ports) and the network's addresses are replaced by
their names, so that a run on any day and on either network gives the same bytes and a test can compare.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

import attacks
import stages
from attacks import Attack
from common.errors import LabError
from common.levers import Levers
from common.limits import TEXT_BYTES
from common.text import NAME_PATTERN, NAME_RULE, printable
from lab.bench import Bench, Cell
from lab.capture import Recording
from lab.referee import CLAIMED, VICTIM
from lab.report import Report
from lab.runs import ROOT, write_whole
from stages import Stage

if TYPE_CHECKING:
    from attacks.dissect import Heard
    from lab.verbs import Options

NOT_BROKEN: Final = 1

_BLOCK: Final = re.compile(
    r"(?P<open><!-- (?P<kind>[a-z]+)(?:: (?P<about>[^\n]+?))? -->\n)(?P<body>.*?)(?P<close><!-- /(?P=kind) -->)",
    re.DOTALL,
)
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_FINDING: Final = re.compile(
    r"^### (?P<id>S\d+-\d\d): (?P<title>[^\n]+)\n\n"
    r"\| Severity \| Difficulty \| Weakness \| Cells \|\n\|[-| ]+\|\n"
    r"\| (?P<severity>[^|]+) \| (?P<difficulty>[^|]+) \| (?P<weakness>[^|]+) \| (?P<cells>[^|]+) \|$",
    re.MULTILINE,
)
_CANARY: Final = re.compile(r"\b[a-z]+-[0-9a-f]{12}\b")
_NUMBER: Final = re.compile(r"\b\d{2,}\b(?! bytes)")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One finding, as its heading and the table below it say."""

    id: str
    title: str
    severity: str
    difficulty: str
    weakness: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block that a machine writes."""

    kind: str
    about: str
    body: str


def path_of(stage: Stage) -> Path:
    """Where the stage's audit stands."""
    return ROOT / "audits" / f"{stage.slug}.md"


def read(stage: Stage) -> str:
    """The stage's audit, markers included. Raises LabError where it has none."""
    try:
        return path_of(stage).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LabError(f"Stage {stage.number} has no audit yet; it will be audits/{stage.slug}.md.") from None


def findings(text: str) -> list[AuditFinding]:
    """Every finding of an audit, in order."""
    return [
        AuditFinding(
            match["id"],
            match["title"],
            match["severity"],
            match["difficulty"],
            match["weakness"],
            tuple(re.findall(r"`([^`]+)`", match["cells"])),
        )
        for match in _FINDING.finditer(text)
    ]


def blocks(text: str) -> list[Block]:
    """Every block of an audit, in order."""
    return [Block(match["kind"], match["about"] or "", match["body"]) for match in _BLOCK.finditer(text)]


def cited(text: str) -> list[str]:
    """What the evidence blocks are about: cells, each once."""
    return list(dict.fromkeys(block.about for block in blocks(text) if block.kind == "evidence"))


def regenerated(text: str, stage: Stage, evidence: Mapping[str, str]) -> str:
    """The audit with every block written anew. Raises LabError for a block of a kind that does not exist."""

    def write(match: re.Match[str]) -> str:
        match match["kind"]:
            case "evidence":
                body = evidence[match["about"]]
            case "fields":
                body = fields_table(stage)
            case "findings":
                body = findings_table(findings(text))
            case kind:
                raise LabError(f"audits/{stage.slug}.md has a block {kind}; there are: evidence, fields, findings.")
        return f"{match['open']}{body}\n{match['close']}"

    return _BLOCK.sub(write, text)


# Evidence


async def run_cited(bench: Bench, stage: Stage, about: str) -> Cell:
    """Run the cell that a block cites: its id, then levers."""
    where, _, levers = about.partition(" ")
    name, _, goal = where.partition("/")
    attack = attacks.find(name)
    return await bench.cell(stage, Levers.parse(levers), attack, attack.goal(goal))


async def evidence_of(bench: Bench, stage: Stage, text: str) -> tuple[dict[str, str], list[Cell]]:
    """Run every cell that an audit cites, once; the blocks' contents, and the cells. Raises LabError."""
    await bench.control(stage, Levers())
    bodies, cells = {}, []
    for about in cited(text):
        cell = await run_cited(bench, stage, about)
        bodies[about] = evidence_body(bench, stage, cell)
        cells.append(cell)
    return bodies, cells


def evidence_body(bench: Bench, stage: Stage, cell: Cell) -> str:
    """What a run of the cell showed, without anything that another run would show differently."""
    hosts = {host.address: name for name, host in bench.network.hosts.items()}
    rows = [("verdict", f"{cell.verdict}; {'a victim was warned' if cell.told else 'nobody was warned'}")]
    rows += [("because", cell.reason), ("did", neutral(cell.did, hosts))]
    rows += [("seen", f"{e.where}: {neutral(e.seen, hosts)}") for e in cell.evidence]
    if cell.id in bench.recordings:
        rows += [("wire", line) for line in wire(hosts, stage, cell, bench.recordings[cell.id])]
    return "\n".join(["```text", *(f"{name:<8} {printable(said)}" for name, said in rows if said), "```"])


def neutral(value: Any, hosts: Mapping[str, str]) -> Any:
    """A text, or the fields of a message, with names in place of what is random or belongs to one network."""
    if isinstance(value, dict):
        return {n: "‹port›" if n == "udp_port" else neutral(v, hosts) for n, v in value.items()}
    if isinstance(value, list):
        return [neutral(item, hosts) for item in value]
    if not isinstance(value, str):
        return value
    for address, name in hosts.items():
        value = re.sub(rf"\b{re.escape(address)}\b", name, value)
    return _NUMBER.sub("‹number›", _CANARY.sub("‹canary›", value))


def wire(hosts: Mapping[str, str], stage: Stage, cell: Cell, recording: Recording) -> list[str]:
    """Those messages of the capture that the evidence is about, as they crossed the wire; then how often, if not once.

    They are: what has the words that were seen, how an attacker with an address of their own came in, and, where it
    was changed or added to on its way, what Alice said. Copies for others than Bob are left out.
    """
    from attacks.dissect import Listener

    attack = attacks.find(cell.attack)
    listener = Listener(stage.port)
    legs = Legs(hosts, attack)
    counts: Counter[str] = Counter()
    for _, frame in recording.frames:
        for heard in listener.hear(frame):
            ends = legs.ends(heard)
            if ends and _telling(heard, ends, attack, cell):
                said = json.dumps(neutral(heard.fields, hosts), ensure_ascii=False, separators=(",", ":"))
                said = said.replace('"‹port›"', "‹port›")  # a number, so without quotes
                counts[f"{ends:<17} {heard.transport}  {said}"] += 1
    return [f"{line}{_times(line, count)}" for line, count in counts.items()]


def _times(line: str, count: int) -> str:
    """A datagram that is carried on is heard on both cables, and on loopback there is one: do not count those."""
    if count == 1 or " UDP  " in line:
        return ""
    return "  (twice)" if count == 2 else f"  ({count} times)"


def _telling(heard: "Heard", ends: str, attack: Attack, cell: Cell) -> bool:
    text = heard.fields.get("text", "")
    if any(text and evidence.seen.endswith(text) for evidence in cell.evidence):
        return True
    if attack.goal(cell.goal).wins in ("altered-room", "inserted-room"):
        return ends == f"{CLAIMED} → mallory" and heard.fields["type"] == "say"
    own = {"outsider": "mallory", "insider": "carol"}.get(attack.position)
    return ends == f"{own} → server" and heard.fields["type"] != "say"


class Legs:
    """Who really holds the two ends of what is heard.

    An attacker on the path ends every connection at herself and dials on under the client's address. By their
    addresses the two look alike; by their order they do not.
    """

    def __init__(self, hosts: Mapping[str, str], attack: Attack) -> None:
        self._hosts = hosts
        self._split = attack.position == "on-path"
        self._seen: dict[str, list[int]] = {}

    def ends(self, heard: "Heard") -> str:
        """`alice → server`, or nothing for a copy that shows nothing new."""
        source, target = self._hosts.get(heard.source[0], "?"), self._hosts.get(heard.target[0], "?")
        if target not in ("server", VICTIM):
            return ""
        if not self._split or heard.transport == "UDP":
            return f"{source} → {target}"
        client = heard.source if target == "server" else heard.target
        ports = self._seen.setdefault(client[0], [])
        if client[1] not in ports:
            ports.append(client[1])
        first_leg = ports[0] == client[1]
        if target == "server":
            return f"{source} → mallory" if first_leg else "mallory → server"
        return f"mallory → {target}" if first_leg else ""


# Tables


def findings_table(found: Iterable[AuditFinding]) -> str:
    """The findings, one a row."""
    rows = ["| Id | Finding | Severity | Difficulty | Cells |", "|---|---|---|---|---|"]
    rows += [
        f"| {f.id} | {f.title} | {f.severity} | {f.difficulty} | {', '.join(f'`{cell}`' for cell in f.cells)} |"
        for f in found
    ]
    return "\n".join(rows)


def fields_table(stage: Stage) -> str:
    """Every field of every message that the stage's sessions accept, as declared."""
    rows = ["| Message | Field | What it may be |", "|---|---|---|"]
    for tag, kind in stage.messages.items():
        rows.append(f'| **`{tag}`** | `type` | `"{tag}"`. {(kind.__doc__ or "").strip()} |')
        rows += [f"| | `{name}` | {may_be} |" for name, may_be in fields_of(kind)]
    return "\n".join(rows)


def fields_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each field's name on the wire and what it may be; fields of a list's elements as `members[].name`."""
    for field in _described(kind).fields:
        name = prefix + field.encode_name
        yield name, _words(field.type) + ("" if field.required else ", or left out")
        if isinstance(field.type, msgspec.inspect.ListType):
            item = field.type.item_type
            if isinstance(item, msgspec.inspect.StructType):
                yield from fields_of(item.cls, f"{name}[].")


def _described(kind: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    described = msgspec.inspect.type_info(kind)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"{kind} is no message")
    return described


def _words(described: msgspec.inspect.Type) -> str:
    """A declared type in words. Raises LabError for one that has none yet."""
    match described:
        case msgspec.inspect.Metadata(type=inner):
            return _words(inner)
        case msgspec.inspect.StrType(pattern=pattern) if pattern == NAME_PATTERN:
            return f"a name: {NAME_RULE}"
        case msgspec.inspect.StrType(pattern=pattern) if pattern:
            return "an IPv4 address, written out"
        case msgspec.inspect.StrType(min_length=1):
            return f"words: 1 to {TEXT_BYTES} bytes of UTF-8"
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"{low} to {high}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.ListType():
            return "a list of objects with the fields below"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(_words(t) for t in types if not isinstance(t, msgspec.inspect.NoneType))
    raise LabError(f"A field is declared as {described}, for which lab.audits has no words yet.")


# Verbs


def show(stage: Stage) -> None:
    """Show the audit: rendered on a terminal, through a pager where it is longer than the screen; else as it is."""
    text = _COMMENT.sub("", read(stage))
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if not console.is_terminal:
        _print(text)
        return
    page = Markdown(_LINK.sub(r"\1", text))  # a link to a file leads nowhere from a terminal
    rows = console.render_lines(page, console.options.update(width=min(console.width, 100)))
    if len(rows) < console.height:
        console.print(page, width=min(console.width, 100))
        return
    os.environ.setdefault("LESSCHARSET", "utf-8")  # also where the locale is C
    os.environ.setdefault("LESS", "-R")  # less shows colours only when told to
    with console.pager(styles=True):
        console.print(page, width=min(console.width, 100))


def _print(text: str) -> None:
    """To a pipe that may be closed before all is read (`| head`)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it ends


async def regenerate(options: "Options") -> int:
    """Run what every audit cites and write the blocks anew; 1, and nothing written, where a finding's cell held."""
    from rich.progress import Progress

    if options.levers:
        raise LabError("An audit says itself under which levers its evidence was made; leave LEVERS= out.")
    report = Report(quiet=options.json)
    texts = {stage: read(stage) for stage in stages.catalogue().values() if path_of(stage).exists()}
    written: dict[Stage, str] = {}
    ran: dict[Stage, list[Cell]] = {}
    async with Bench.open(options.network) as bench:
        with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
            for stage, text in progress.track(texts.items(), description="running the evidence"):
                bodies, ran[stage] = await evidence_of(bench, stage, text)
                written[stage] = regenerated(text, stage, bodies)
        network = bench.kind
    held = [f"{f.id} cites {cell.id}" for s, cells in ran.items() for f, cell in not_broken(texts[s], cells)]
    for stage, text in written.items():
        if not held and text != texts[stage]:
            write_whole(path_of(stage), text)
        said = "not written" if held else "as it was" if text == texts[stage] else "written anew"
        report.line(f"audits/{stage.slug}.md: {len(ran[stage])} cells run, {said}.")
    if held:
        report.line(
            f"These cells were not broken, so their findings are no longer true: {'; '.join(held)}.", "bold yellow"
        )
    if options.json:
        print(json.dumps(_summary(network, texts, written, ran, held), indent=2))
    return NOT_BROKEN if held else 0


def not_broken(text: str, cells: Iterable[Cell]) -> list[tuple[AuditFinding, Cell]]:
    """The findings whose cell was run with the stage's own levers and was not broken."""
    ran = {cell.id: cell for cell in cells if not cell.levers and cell.verdict != "broken"}
    return [(f, ran[cell]) for f in findings(text) for cell in f.cells if cell in ran]


def _summary(
    network: str,
    texts: Mapping[Stage, str],
    written: Mapping[Stage, str],
    ran: Mapping[Stage, list[Cell]],
    held: list[str],
) -> dict[str, Any]:
    audits = [
        {
            "file": f"audits/{stage.slug}.md",
            "changed": not held and text != texts[stage],
            "cells": [{"id": cell.id, "verdict": cell.verdict} for cell in ran[stage]],
        }
        for stage, text in written.items()
    ]
    return {"network": network, "audits": audits, "not_broken": held}
