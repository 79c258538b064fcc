"""What a person types, as calls of the session."""

import re
from typing import Final

from common.limits import TEXT_BYTES
from common.session import ClientEffect, ClientSession, Close, notice
from common.text import NAME_PATTERN, NAME_RULE

NAME: Final = re.compile(NAME_PATTERN)

HELP: Final = (
    "Type to speak to the room. /who: who is here. /to NAME TEXT: to one member, through the server. "
    "/whisper NAME TEXT: to one member, directly over UDP. /quit: leave."
)


def typed(session: ClientSession, line: str) -> list[ClientEffect]:
    """One line from the keyboard; what is not understood is answered with a notice, never an error."""
    line = line.strip()
    try:
        size = len(line.encode())
    except UnicodeEncodeError:
        return [notice("That line has bytes that are no text (not UTF-8); it was not sent.")]
    if size > TEXT_BYTES:
        return [notice(f"A text is at most {TEXT_BYTES} bytes, and that was {size}; it was not sent.")]
    command, _, rest = line.partition(" ")
    to, _, text = rest.strip().partition(" ")
    match command:
        case "":
            return []
        case "/quit":
            return [Close()]
        case "/who":
            return session.who()
        case "/help":
            return [notice(HELP)]
        case "/to" | "/whisper" if not text.strip():
            return [notice(f"It goes: {command} NAME TEXT")]
        case "/to" if not NAME.match(to):
            return [notice(f"{to} is no name: names are {NAME_RULE}.")]
        case "/to":
            return session.say(text.strip(), to)
        case "/whisper":
            return session.whisper(to, text.strip())
        case _ if command in session.commands:
            return session.commands[command](rest.strip())
        case _ if command.startswith("/"):
            return [notice(f"There is no {command}. {HELP}")]
        case _:
            return session.say(line)
