"""The evidence of an audit: what a run of a cell showed, the same bytes on any day and on either network.

A run's random parts (canaries, keys, nonces, ciphertexts, passwords, ports, times, the numbers that attacks make up)
and the network's addresses are replaced by their names; the order of messages, their fields, sizes and verdicts stand
as they were.
"""

import base64
import binascii
import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attacks
from attacks import Attack
from common.levers import Levers
from common.text import printable
from lab.audit_blocks import cited
from lab.bench import Bench, Cell
from lab.capture import Recording
from lab.referee import CLAIMED, VICTIM
from lab.scene import MEMBERS
from stages import Stage

if TYPE_CHECKING:
    from attacks.listener import Heard

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
