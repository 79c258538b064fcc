"""The blocks of a page that a machine writes: what stands between two comments, `make audits` writes anew.

    <!-- evidence: sniffer/room -->    one cell, run again; words after the cell's id are levers (framing=none)
    <!-- fields -->                    every field of every message that the stage declares
    <!-- findings -->                  the findings below, in a table
    <!-- fixes -->                     what the stage before left open, and what became of it
    <!-- index -->                     in audits/README.md: every audit, with its findings counted
    <!-- matrix -->                    in README.md: every cell of every stage, from a run

Each ends at a comment like `<!-- /fields -->`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from common.errors import LabError

_BLOCK: Final = re.compile(
    r"(?P<open><!-- (?P<kind>[a-z]+)(?:: (?P<about>[^\n]+?))? -->\n)(?P<body>.*?)(?P<close><!-- /(?P=kind) -->)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block that a machine writes."""

    kind: str
    about: str
    body: str


def blocks(text: str) -> list[Block]:
    """Every block of a page, in order."""
    return [Block(match["kind"], match["about"] or "", match["body"]) for match in _BLOCK.finditer(text)]


def cited(text: str) -> list[str]:
    """What the evidence blocks are about: cells, each once."""
    return list(dict.fromkeys(block.about for block in blocks(text) if block.kind == "evidence"))


def check_kinds(text: str, name: str, kinds: Mapping[str, object]) -> None:
    """Raises LabError for a block of a kind that a page like this one does not have."""
    for block in blocks(text):
        if block.kind not in kinds:
            raise LabError(f"{name} has a block {block.kind}; there are: {', '.join(kinds)}.")


def written(text: str, bodies: Mapping[str, Callable[[str], str]]) -> str:
    """The page with its blocks of these kinds written anew; each kind says what stands in a block about something."""

    def write(match: re.Match[str]) -> str:
        if match["kind"] not in bodies:
            return match[0]
        return f"{match['open']}{bodies[match['kind']](match['about'] or '')}\n{match['close']}"

    return _BLOCK.sub(write, text)
