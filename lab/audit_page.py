"""`lab stage-1 audit`: an audit to read, on a terminal with headings, tables and colours."""

import os
import re
import sys
from typing import Final

from lab.audits import read
from stages import Stage

WIDTH: Final = 100
DRAWING: Final = "*(Here the page has a drawing of all packets; `make flow` draws those of your own last run.)*\n"
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_LINE: Final = re.compile(r"\[([^\]]+)\]\([^)]+#L(\d+)\)")
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_MERMAID: Final = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)
_HEADLESS: Final = re.compile(r"^\| \| \|\n(\|---\|---\|\n)(\|.+\n)", re.MULTILINE)


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
    page = Markdown(for_terminal(text))
    rows = console.render_lines(page, console.options.update(width=min(console.width, WIDTH)))
    if len(rows) < console.height:
        console.print(page, width=min(console.width, WIDTH))
        return
    os.environ.setdefault("LESSCHARSET", "utf-8")  # also where the locale is C
    os.environ.setdefault("LESS", "-R")  # less shows colours only when told to
    with console.pager(styles=True):
        console.print(page, width=min(console.width, WIDTH))


def for_terminal(text: str) -> str:
    """The page without links, which lead nowhere from a terminal (a line of code keeps its number), without the source
    of drawings, and with the first row of each table that has no head as its head."""
    text = _MERMAID.sub(DRAWING, text)
    return _HEADLESS.sub(r"\2\1", _LINK.sub(r"\1", _LINE.sub(r"\1:\2", text)))
