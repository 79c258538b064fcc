"""`display=raw`: what came over the network goes to the terminal as it is.

Why it is wrong: a terminal obeys what it is sent. A line break begins a new row, ESC [ 2 K and a carriage return wipe
the row and start it again, and a text that is long enough goes on at the beginning of the next row; so whoever may
write words there can write a whole line, with any name before it (CWE-150).
"""

from common.session import Show
from common.terminal import FORMS


def rows(show: Show, columns: int) -> list[str]:
    """Stands where `common.terminal.rows` stands; the terminal breaks the rows."""
    return [FORMS[show.kind].format(who=show.sender, text=show.text)]
