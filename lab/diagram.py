"""Sequence diagrams: arrows between hosts, as text for a terminal, in Mermaid's language, and as SVG.

Hosts stand side by side, time runs downwards. In a terminal an arrow has its text inside where there is room for it,
else above; a text that is longer than the way between two hosts runs on over the lifelines of others. So 80 columns
are enough for the lab's seven hosts; with more than that the diagram becomes wider.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

MARGIN: Final = 9
"""Where the first host stands; before it, the number of the frame."""
NEAR, FAR = 11, 52
"""How far apart two hosts stand, in columns."""
WIDE, HEAD, ROW = 680, 22, 19
"""Of an SVG: its width, the height of its head, and of an arrow."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One packet as it is drawn, between two hosts' names; where `target` is empty it goes to all.

    names: the messages that it completes. text: its flags, numbers and length.
    """

    number: int
    source: str
    target: str
    names: str
    text: str


def hosts_of(arrows: Sequence[Arrow]) -> list[str]:
    """In the order in which they appear."""
    return list(dict.fromkeys(host for arrow in arrows for host in (arrow.source, arrow.target) if host))


def text(arrows: Sequence[Arrow], columns: int) -> Iterator[str]:
    """The diagram as lines for a terminal so many columns wide."""
    hosts = hosts_of(arrows)
    gaps = max(len(hosts) - 1, 1)
    step = max(NEAR, min(FAR, (columns - MARGIN - 5) // gaps))
    width = max(columns, MARGIN + gaps * step + 5)
    places = {host: MARGIN + i * step for i, host in enumerate(hosts)}
    heads = lifelines = " " * width
    for host, place in places.items():
        heads = _over(heads, host, place - len(host) // 2)
        lifelines = _over(lifelines, "│", place)
    yield heads.rstrip()
    for arrow in arrows:
        yield from _rows(arrow, places, lifelines)
    yield heads.rstrip()


def _rows(arrow: Arrow, places: dict[str, int], lifelines: str) -> Iterator[str]:
    """What stands above the arrow, and the arrow."""
    left, right = sorted((places[arrow.source], places[arrow.target or arrow.source]))
    room = right - left - 2
    numbered = f"{arrow.number:>6}" + lifelines[6:]
    if arrow.names:
        yield _beside(lifelines, arrow.names, left)
    if left == right:
        yield _beside(numbered, f"{'↺' if arrow.target else '◆ to all:'} {arrow.text}", left)
        return
    shaft = f" {arrow.text} ".center(room, "─")
    if len(shaft) > room:
        yield _beside(lifelines, arrow.text, left)
        shaft = "─" * room
    if places[arrow.source] == left:
        yield _over(numbered, f"├{shaft}▶", left).rstrip()
    else:
        yield _over(numbered, f"◀{shaft}┤", left + 1).rstrip()


def _beside(line: str, words: str, place: int) -> str:
    """Words to the right of a lifeline, or as far to the left of that as they need to stay on the line."""
    return _over(line, f" {words} ", max(min(place + 1, len(line) - len(words) - 2), MARGIN + 1)).rstrip()


def _over(line: str, words: str, at: int) -> str:
    return line[:at] + words + line[at + len(words) :]


def mermaid(arrows: Sequence[Arrow]) -> Iterator[str]:
    """The diagram in Mermaid's language (its page "Sequence diagrams")."""
    names = {host: f"h{i}" for i, host in enumerate(hosts_of(arrows))}
    yield "sequenceDiagram"
    for host, name in names.items():
        yield f"    participant {name} as {host}"
    for arrow in arrows:
        said = "<br/>".join(filter(None, (arrow.names, f"{arrow.number}: {arrow.text}")))
        if arrow.target:
            yield f"    {names[arrow.source]}->>{names[arrow.target]}: {said}"
        else:
            yield f"    Note over {names[arrow.source]}: to all: {said}"


def svg(arrows: Sequence[Arrow]) -> Iterator[str]:
    """The diagram as SVG, for a page that shall need no script (SVG 1.1)."""
    hosts = hosts_of(arrows)
    step = WIDE // max(len(hosts), 2)
    places = {host: step // 2 + at * step for at, host in enumerate(hosts)}
    height = HEAD + ROW * len(arrows) + 6
    size = f'viewBox="0 0 {WIDE} {height}" font-family="sans-serif" font-size="9"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    yield '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="7" refY="3" orient="auto">'
    yield '<path d="M0 0 7 3 0 6z"/></marker></defs>'
    for host, x in places.items():
        yield f'<text x="{x}" y="10" text-anchor="middle" font-weight="bold">{escape(host)}</text>'
        yield f'<line x1="{x}" y1="{HEAD - 6}" x2="{x}" y2="{height}" stroke="#bbb"/>'
    for at, arrow in enumerate(arrows):
        yield from _svg_row(arrow, places, HEAD + ROW * (at + 1) - 4)
    yield "</svg>"


def _svg_row(arrow: Arrow, places: dict[str, int], y: int) -> Iterator[str]:
    """An arrow with its words above it."""
    left = places[arrow.source]
    right = places[arrow.target] if arrow.target else WIDE
    said = f"{arrow.number}: {arrow.names + ' · ' if arrow.names else ''}{arrow.text}"
    yield f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="#000" marker-end="url(#tip)"/>'
    middle = (left + right) // 2
    paint = 'text-anchor="middle" stroke="#fff" stroke-width="3" paint-order="stroke"'
    yield f'<text x="{middle}" y="{y - 3}" {paint}>{escape(said)}</text>'
