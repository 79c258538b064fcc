"""What a person sees and types.

`rows` is the one place where something that came over the network becomes text on a screen: it strips what
could move or hide (`common.text.printable`) and marks what it wraps. The prompt is prompt_toolkit's where there is
a terminal, so that a half-typed line survives incoming messages; piped, there is no prompt and no colour.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Awaitable, Callable

from common.session import Show
from common.text import printable, wrap

FORMS = {
    "room": "{who}: {text}",
    "direct": "{who} (to you): {text}",
    "whisper": "{who} (whispers): {text}",
    "notice": "* {text}",
    "alarm": "! {text}",
}
Rows = Callable[[Show, int], list[str]]
"""How something becomes rows of a screen; `rows` is the right way."""
_COLOURS = {"whisper": "36", "direct": "36", "notice": "2", "alarm": "1;31"}


def rows(show: Show, columns: int) -> list[str]:
    """The rows of a screen that is `columns` wide, safe to print.

    Every row begins with a name, `* ` (notice), `! ` (alarm) or the continuation mark; since a name is at most
    20 of a-z, 0-9, _ and -, nothing that a peer writes can make one kind look like another.
    """
    line = FORMS[show.kind].format(who=printable(show.sender), text=printable(show.text))
    return wrap(line, columns)


def typed_row(name: str, line: str, columns: int) -> list[str]:
    """The rows of what a person typed, as the prompt leaves them on the screen."""
    return wrap(f"{name}> {printable(line)}", columns)


def show_plain(show: Show, as_rows: Rows = rows) -> None:
    """To standard output: in rows that fit where it is a terminal, else in one line."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    print("\n".join(as_rows(show, columns)), flush=True)


def coloured(show: Show, columns: int, as_rows: Rows = rows) -> str:
    """The rows with this kind's colour."""
    text = "\n".join(as_rows(show, columns))
    colour = None if os.environ.get("NO_COLOR") else _COLOURS.get(show.kind)
    return f"\033[{colour}m{text}\033[0m" if colour else text


async def converse(
    name: str,
    start: Callable[[Callable[[Show], None]], Awaitable[tuple[Callable[[str], None], asyncio.Event]]],
    as_rows: Rows = rows,
) -> None:
    """Let a person talk until they leave or the server does.

    `start` gets the function that shows something and returns the function that takes a typed line and the event
    that says it is over.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        await _with_prompt(name, start, as_rows)
    else:
        await _piped(start, as_rows)


async def _with_prompt(
    name: str,
    start: Callable[[Callable[[Show], None]], Awaitable[tuple[Callable[[str], None], asyncio.Event]]],
    as_rows: Rows,
) -> None:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.patch_stdout import patch_stdout

    keys = KeyBindings()
    keys.add("c-c")(lambda event: event.app.exit(exception=EOFError()))  # Ctrl-C leaves, like Ctrl-D
    session: PromptSession[str] = PromptSession(key_bindings=keys)
    with patch_stdout(raw=True):
        typed, ended = await start(lambda show: print(coloured(show, shutil.get_terminal_size().columns, as_rows)))
        over = asyncio.ensure_future(ended.wait())
        while not ended.is_set():
            line = asyncio.ensure_future(session.prompt_async(f"{name}> "))
            await asyncio.wait([line, over], return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                await asyncio.wait([line])
            else:
                typed("/quit" if isinstance(line.exception(), (EOFError, KeyboardInterrupt)) else line.result())
                if line.exception():
                    await over
        over.cancel()


async def _piped(
    start: Callable[[Callable[[Show], None]], Awaitable[tuple[Callable[[str], None], asyncio.Event]]],
    as_rows: Rows,
) -> None:
    typed, ended = await start(lambda show: show_plain(show, as_rows))
    loop = asyncio.get_running_loop()

    def read() -> None:
        # Unbuffered: a thread that waits inside sys.stdin holds its lock, and Python could not end meanwhile.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as keyboard, contextlib.suppress(RuntimeError):
            for line in keyboard:  # a RuntimeError says that the loop is closed: the server has left
                loop.call_soon_threadsafe(typed, line.decode(errors="surrogateescape"))
            loop.call_soon_threadsafe(typed, "/quit")

    threading.Thread(target=read, daemon=True).start()
    await ended.wait()
