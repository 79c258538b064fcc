"""The audits: prose by people, evidence by the bench.

An audit is a Markdown file, `audits/<stage's slug>.md`. What a machine knows better stands in blocks between two
comments, and `make audits` writes those anew:

    <!-- evidence: sniffer/room -->    one cell, run again; words after the cell's id are levers (framing=none)
    <!-- fields -->                    every field of every message that the stage declares
    <!-- findings -->                  the findings below, in a table
    <!-- matrix -->                    in README.md: every cell of every stage, from a run

A run's random parts (canaries, keys, nonces, ciphertexts, passwords, ports, times, the numbers that attacks make up)
and the network's addresses are replaced by their names, so that a run on any day and on either network gives the same
bytes and a test can compare.
"""

import base64
import binascii
import contextlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from lab.matrix import benches, everything, run, shared
from lab.referee import CLAIMED, VICTIM
from lab.report import Report
from lab.runs import ROOT, write_text
from lab.scene import MEMBERS
from lab.verbs import Options, selected
from stages import Stage

if TYPE_CHECKING:
    from attacks.listener import Heard
    from lab.verbs import Options

NOT_BROKEN: Final = 1
LETTERS: Final = {"broken": "**B**", "held": "H", "not-applicable": "–"}
README: Final = ROOT / "README.md"

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
_CANARY: Final = re.compile(r"\b(?:[a-z]+-)+[0-9a-f]{12}\b")
_NUMBER: Final = re.compile(r"(?<!-)\b\d(?:[\d,.]*\d)\b(?! bytes)")
_KEY: Final = re.compile(
    r"(?<=\[)b(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?=\])|\b[0-9a-f]{32,}\b|(?<![\w+/])[\w+/]{43}="
)
_PORT: Final = re.compile(r'(?<="udp_port":)\d+')
_COST: Final = re.compile(r"\d(?:[\d,.]*\d)?(?= guesses| s\b| a second)|(?<=allow )[\d,]+")
_SECOND: Final = frozenset({"read-later-room", "read-later-whisper", "dropped-room", "isolated-room"})
"""The rules that are about the second thing that Alice says, not the first."""
_EXCHANGES: Final = frozenset({"mitm", "key_substitution"})
"""The attacks that stand between two who agree on a key."""


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
    name, _, rest = where.partition("/")
    goal, _, case = rest.partition("/")
    attack = attacks.find(name)
    return await bench.cell(stage, Levers.parse(levers, stage.levers), attack, attack.goal(goal), case=case)


async def evidence_of(bench: Bench, stage: Stage, text: str) -> tuple[dict[str, str], list[Cell]]:
    """Run every cell that an audit cites, once; the blocks' contents, and the cells. Raises LabError."""
    await bench.control(stage, Levers.parse("", stage.levers))
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
    guessed = attacks.find(cell.attack).goal(cell.goal).wins == "guessed"
    did = re.sub(r"\d+(?= bytes)", "‹number›", cell.did) if guessed else cell.did
    rows += [("because", _COST.sub("‹number›", cell.reason)), ("did", neutral(_COST.sub("‹number›", did), hosts))]
    rows += [("seen", f"{e.where}: {neutral(e.seen, hosts)}") for e in cell.evidence if e.seen != cell.reason]
    if cell.id in bench.recordings:
        rows += [("wire", line) for line in wire(hosts, stage, cell, bench.recordings[cell.id])]
    return "\n".join(["```text", *(f"{name:<8} {printable(said)}" for name, said in rows if said), "```"])


def neutral(value: Any, hosts: Mapping[str, str]) -> Any:
    """A text, or the fields of a message, with names in place of what is random or belongs to one network."""
    if isinstance(value, dict):
        return {n: _named(n, v) or neutral(v, hosts) for n, v in value.items()}
    if isinstance(value, list):
        return [neutral(item, hosts) for item in value]
    if not isinstance(value, str):
        return value
    value = _PORT.sub("‹port›", value)
    for address, name in hosts.items():
        value = re.sub(rf"\b{re.escape(address)}\b", name, value)
    return _NUMBER.sub("‹number›", _KEY.sub("‹key›", _CANARY.sub("‹canary›", value)))


def _named(field: str, value: Any) -> str:
    """The name of what stands in this field of a message, where that is random; nothing where it is not."""
    match field:
        case "udp_port":
            return "‹port›"
        case "nonce" if value:
            return "‹nonce›"
        case "public_key":
            return "‹public key›"
        case "password" if not _CANARY.fullmatch(value):
            return "‹password›"
        case "ciphertext":
            with contextlib.suppress(binascii.Error, ValueError):
                return f"‹{len(base64.b64decode(value, validate=True))} bytes›"
    return ""


def wire(hosts: Mapping[str, str], stage: Stage, cell: Cell, recording: Recording) -> list[str]:
    """Those messages of the capture that the evidence is about, as they crossed the wire; then how often, if not once.

    They are: what has the words that were seen, how an attacker with an address of their own came in, and, where it
    was changed or added to on its way, what Alice said. Copies for others than Bob are left out.
    """
    from attacks.listener import Listener

    attack = attacks.find(cell.attack)
    listener = Listener(stage.port)
    legs = Legs(hosts, attack)
    sealed: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for _, frame in recording.frames:
        for heard in listener.hear(frame):
            ends = legs.ends(heard)
            if ends and (_telling(heard, ends, attack, cell) or _sealed(heard, ends, attack, cell, sealed)):
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
    wins, kind = attack.goal(cell.goal).wins, heard.fields.get("type")
    if wins == "guessed":  # the words of twenty trials say nothing that the verdict does not
        return False
    if kind in ("register", "login") and any(e.seen == heard.fields.get("password") for e in cell.evidence):
        return True
    if attack.name == "stolen_password" and kind in ("register", "login"):
        return ends in (f"{CLAIMED} → server", "eve → server")
    text = heard.fields.get("text", "")
    if any(text and evidence.seen.endswith(text) for evidence in cell.evidence):
        return True
    if wins in ("altered-room", "inserted-room") and text:
        return ends == f"{CLAIMED} → mallory" and kind == "say"
    own = {"outsider": "mallory", "insider": "carol"}.get(attack.position)
    return ends == f"{own} → server" and kind in ("join", "register", "login")


def _sealed(heard: "Heard", ends: str, attack: Attack, cell: Cell, seen: dict[str, list[str]]) -> bool:
    """Where no words can be seen: the exchange of the room key with Bob, where an attack is in it, and that message
    of Alice's which the goal is about, by which it is among those that took this way."""
    kind, fields = heard.fields.get("type"), heard.fields
    wins = attack.goal(cell.goal).wins
    if wins in ("guessed", "cracked", "read-password") or "text" in fields:
        return False
    if kind in ("key-request", "key-grant"):
        invented = not {fields.get("from"), fields.get("to")} <= set(MEMBERS)
        return invented or (attack.name in _EXCHANGES and VICTIM in (fields.get("from"), fields.get("to")))
    if fields.get("from") != CLAIMED or kind != ("whisper" if "whisper" in wins else "say"):
        return False
    if attack.name == "stolen_password" and not ends.startswith("eve"):
        return False
    order = seen.setdefault(ends, [])
    if fields["ciphertext"] not in order:
        order.append(fields["ciphertext"])
    second = wins in _SECOND or attack.name == "forging_server"
    return order.index(fields["ciphertext"]) == int(second)


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
        case msgspec.inspect.StrType(min_length=1, max_length=int(most)):
            return f"1 to {most} characters"
        case msgspec.inspect.StrType(min_length=1):
            return f"words: 1 to {TEXT_BYTES} bytes of UTF-8"
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.IntType(ge=low, le=None):
            return f"a number from {low} on"
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"{low} to {high}" if high != 2**53 - 1 else f"a number from {low} on"
        case msgspec.inspect.LiteralType(values=values):
            return " or ".join(json.dumps(value) for value in values)
        case msgspec.inspect.TupleType(item_types=types):
            return f"a pair of numbers ({', '.join(_words(t) for t in types)})"
        case msgspec.inspect.BytesType(min_length=low, max_length=high) if low and low == high:
            return f"{low} bytes in base64"
        case msgspec.inspect.BytesType(max_length=high):
            return f"up to {high} bytes in base64" if high else "bytes in base64"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.ListType():
            return "a list of objects with the fields below"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(_words(t) for t in types if not isinstance(t, msgspec.inspect.NoneType))
    raise LabError(f"A field is declared as {described}, for which lab.audits has no words yet.")


def matrix_table(verdicts: Mapping[tuple[str, int], str]) -> str:
    """Every attack's goals, one a row, and a letter for each stage."""
    every = list(stages.catalogue())
    rows = [f"| Attack | Position | Goal | {' | '.join(map(str, every))} |", "|---|---|---|" + ":-:|" * len(every)]
    for attack in attacks.catalogue():
        for goal in attack.goals:
            letters = [LETTERS[verdicts[f"{attack.name}/{goal.name}", number]] for number in every]
            about = f"{attack.position} | {goal.about}"
            rows.append(f"| `{attack.name}/{goal.name}` | {about} | {' | '.join(letters)} |")
    return "\n".join(rows)


async def verdicts_of(side_by_side: Sequence[Bench], ran: Mapping[Stage, list[Cell]]) -> dict[tuple[str, int], str]:
    """The verdict of every cell: of those that were run already, and of all others now. Where a goal is tried in
    several ways, one that works is enough."""
    found = {(cell.id, stage.number): cell.verdict for stage, cells in ran.items() for cell in cells if not cell.levers}
    items = everything(list(stages.catalogue().values()), selected([], ""))
    missing = [i for i in items if (f"{i.attack.name}/{i.goal.name}", i.stage.number) not in found]
    for item, cell in zip(missing, await run(side_by_side, missing), strict=True):
        at = (f"{item.attack.name}/{item.goal.name}", item.stage.number)
        not_here = item.goal.lan_only and side_by_side[0].kind != "lan"  # the matrix is what the LAN gives
        verdict = item.goal.expected_at(item.stage.number) if not_here else cell.verdict
        found[at] = "broken" if "broken" in (verdict, found.get(at)) else verdict
    return found


def with_matrix(text: str, verdicts: Mapping[tuple[str, int], str]) -> str:
    """A page with its block of the matrix written anew."""

    def write(match: re.Match[str]) -> str:
        return f"{match['open']}{matrix_table(verdicts)}\n{match['close']}" if match["kind"] == "matrix" else match[0]

    return _BLOCK.sub(write, text)


# Verbs


def show(stage: Stage) -> None:
    """Show the audit: rendered on a terminal, through a pager where it is longer than the screen; else as it is."""
    text = _COMMENT.sub("", read(stage))
    from rich.markdown import Markdown

    from lab.output import Output

    console = Output()
    if not console.is_terminal:
        sys.stdout.write(text)
        sys.stdout.flush()
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


async def regenerate(options: Options) -> int:
    """Run what every audit cites and write the blocks anew; 1, and nothing written, where a finding's cell held."""
    from rich.progress import Progress

    if options.levers:
        raise LabError("An audit says itself under which levers its evidence was made; leave LEVERS= out.")
    report = Report(quiet=options.json)
    texts = {stage: read(stage) for stage in stages.catalogue().values() if path_of(stage).exists()}
    written: dict[Stage, str] = {}
    ran: dict[Stage, list[Cell]] = {}
    async with benches(options.network) as side_by_side:
        with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
            task = progress.add_task("running the evidence", total=len(texts))

            async def again(bench: Bench, stage: Stage) -> None:
                bodies, ran[stage] = await evidence_of(bench, stage, texts[stage])
                written[stage] = regenerated(texts[stage], stage, bodies)
                progress.advance(task)

            await shared(side_by_side, list(texts), again)
        network = side_by_side[0].kind
        verdicts = await verdicts_of(side_by_side, ran)
    page = README.read_text(encoding="utf-8")
    matrix = with_matrix(page, verdicts)
    held = [f"{f.id} cites {cell.id}" for s, cells in ran.items() for f, cell in not_broken(texts[s], cells)]
    for stage, text in sorted(written.items(), key=lambda done: done[0].number):
        if not held and text != texts[stage]:
            write_text(path_of(stage), text)
        said = "not written" if held else "as it was" if text == texts[stage] else "written anew"
        report.line(f"audits/{stage.slug}.md: {len(ran[stage])} cells run, {said}.")
    if not held and matrix != page:
        write_text(README, matrix)
        report.line("README.md: the matrix was written anew.")
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
