"""Names, and what may reach a person's terminal.

A terminal is an attack surface: an escape sequence can move the cursor up and rewrite what somebody else
said, and a right-to-left override can turn a name around. So everything that came over the network goes
through `printable` at the moment it is shown, and `wrap` marks the lines that the terminal would otherwise
break by itself.
"""

import unicodedata
from typing import Annotated, Final

from msgspec import Meta

NAME_RULE: Final = "1 to 20 of a-z, 0-9, _ and -"
NAME_PATTERN: Final = r"^[a-z0-9_-]{1,20}\Z"
_BYTE: Final = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
IPV4_PATTERN: Final = rf"^({_BYTE}\.){{3}}{_BYTE}\Z"

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description=NAME_RULE)]

CONTINUATION: Final = "  ┊ "
"""What a wrapped line begins with. No name, notice or alarm can begin with a space."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_EMOJI_STYLE: Final = "\N{VARIATION SELECTOR-16}"
_LOOK_ALIKE: Final = str.maketrans("01_", "ol-")


def printable(text: str) -> str:
    """Replace every character that could move, hide or reorder what a terminal shows.

    These are the Unicode categories of controls (Cc), formats such as bidirectional overrides and zero-width
    characters (Cf), surrogates, private use, unassigned, and line and paragraph separators (Unicode UTR #36).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _HIDDEN else c for c in text)


def skeleton(name: str) -> str:
    """Two names with one skeleton look alike in many fonts: `a1ice` and `alice`, `b0b` and `bob`."""
    return name.translate(_LOOK_ALIKE)


def cells(character: str) -> int:
    """How many cells of a row a character takes, at most: where terminals disagree, the widest of them counts.

    They do about spacing marks, and about a variation selector, which makes the character before it an emoji.
    """
    from wcwidth import wcwidth  # its tables take longer to import than most commands take to run

    disputed = character == _EMOJI_STYLE or unicodedata.category(character) == "Mc"
    return max(wcwidth(character), int(disputed))


def wrap(line: str, columns: int) -> list[str]:
    """Break a line into rows of at most `columns` cells; all but the first begin with CONTINUATION.

    Done here, and not by the terminal, because a sender who knows the width could otherwise place the words
    "alice: …" at the beginning of a row.
    """
    if line.isascii() and len(line) <= columns:
        return [line]
    rows, row, used = [], "", 0
    for character in line:
        width = cells(character)
        if used + width > columns:
            rows.append(row)
            row, used = CONTINUATION, len(CONTINUATION)
        row, used = row + character, used + width
    return [*rows, row]
