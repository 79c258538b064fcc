"""IRC as far as the field needs it (RFC 1459 section 2.3, RFC 2812 section 2.3): lines, and a member's client.

The client is the lab's own, `common.client.Client`, with IRC's lines in place of JSON, so that reconnecting, TLS and
the screen are those of every stage. The session is a plain object: lines in, effects out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from common import client
from common.messages import Message
from common.session import Address, ClientEffect, Close, Send, Show, alarm, notice
from common.wire import WireError

CHANNEL: Final = "#lab"
LINE_BYTES: Final = 510
"""The longest line, without its end (RFC 2812, section 2.3)."""
COMMANDS: Final = frozenset(
    {
        *("PASS", "NICK", "USER", "OPER", "PING", "PONG", "ERROR", "QUIT", "KILL"),
        *("JOIN", "PART", "MODE", "TOPIC", "NAMES", "WHO", "WHOIS", "PRIVMSG", "NOTICE"),
    }
)
"""What counts as IRC; other words at the beginning of a line are somebody else's bytes. Answers are three digits."""
_FORM: Final = re.compile(r"(?::(?P<prefix>[^ ]+) +)?(?P<command>[A-Za-z]+|\d{3})(?P<rest>(?: .*)?)", re.DOTALL)
_NAMED: Final = {
    "PRIVMSG": ("to", "text"),
    "NOTICE": ("to", "text"),
    "OPER": ("name", "password"),
    "PASS": ("password",),
    "NICK": ("nick",),
    "KILL": ("nick", "text"),
}
"""What the parameters of these commands are, for whoever reads along."""


class Line(Message, frozen=True, tag="irc"):
    """One line: who it comes from (only servers write that), what, and the parameters."""

    command: str
    params: list[str]
    prefix: str = ""

    @property
    def nick(self) -> str:
        """Who it comes from, without user and host (`alice!~alice@10.13.37.21`)."""
        return self.prefix.partition("!")[0]


def parsed(line: bytes) -> Line | None:
    """A line without its end, taken apart; None for bytes that are no line of IRC, such as those of TLS."""
    match = _FORM.fullmatch(line.rstrip(b"\r\n").decode(errors="replace"))
    if match is None or not (match["command"].isdigit() or match["command"].upper() in COMMANDS):
        return None
    middle, colon, trailing = match["rest"].partition(" :")
    return Line(match["command"].upper(), [*middle.split(), *([trailing] if colon else [])], match["prefix"] or "")


def written(line: Line) -> bytes:
    """A line with its end. What would end it early is taken out: else a text could bring a command of its own."""
    *middle, last = [re.sub(r"[\r\n\0]", " ", word) for word in (line.command, *line.params)]
    colon = ":" if middle and (" " in last or last[:1] in ("", ":")) else ""
    return " ".join([*middle, colon + last]).encode()[:LINE_BYTES] + b"\r\n"


def fields(line: bytes) -> dict[str, Any] | None:
    """A line as `attacks.listener` shows messages."""
    read = parsed(line)
    if read is None:
        return None
    said: dict[str, Any] = {"type": read.command} | ({"from": read.nick} if read.prefix else {})
    names = _NAMED.get(read.command, ())
    rest = read.params[len(names) :]
    return said | dict(zip(names, read.params, strict=False)) | ({"params": rest} if rest else {})


class Session:
    """A member's side of IRC: joins one channel, talks, shows.

    password: the operator's, sent when the person types /oper. server_password: what the server asks all for (PASS).
    """

    accepts: ClassVar[Any] = Line
    whispers: ClassVar[Any] = Line

    def __init__(self, name: str, password: str = "", server_password: str = "") -> None:
        self.name = name
        self.udp_port = 0
        self._password = password
        self._server_password = server_password
        self._here: list[str] = []
        self._inside = False

    @property
    def commands(self) -> Mapping[str, Callable[[str], list[ClientEffect]]]:
        """What can be typed beside /whisper, /who and /quit."""
        return {
            "/oper": lambda name: [_send("OPER", name or self.name, self._password)],
            "/nick": lambda nick: [_send("NICK", nick)],
            "/kill": lambda rest: [_send("KILL", *rest.split(" ", 1))],
            "/part": lambda _: [_send("PART", CHANNEL)],
            "/join": lambda _: [_send("JOIN", CHANNEL)],
        }

    def connected(self) -> list[ClientEffect]:
        """Say who we are, the server's password first (RFC 2812, section 3.1)."""
        first = [_send("PASS", self._server_password)] if self._server_password else []
        return [*first, _send("NICK", self.name), _send("USER", self.name, "0", "*", self.name)]

    def disconnected(self) -> None:
        """Forget who was there."""
        self._here, self._inside = [], False

    def received(self, line: Line) -> list[ClientEffect]:
        """A line arrived; what a member need not see is passed over."""
        match line.command, line.params:
            case "PING", [token, *_]:
                return [_send("PONG", token)]
            case "001", _:
                self._inside = True
                return [_send("JOIN", CHANNEL)]
            case "353", [*_, names]:
                self._here += [name.lstrip("~&@%+") for name in names.split()]
            case "366", _:
                here, self._here = self._here, []
                return [notice(f"here: {', '.join(sorted(here))}")]
            case "PRIVMSG", [to, text] if line.nick:
                return [Show("room" if to == CHANNEL else "whisper", text, sender=line.nick)]
            case "381", _:
                return [notice("you are an IRC operator now")]
            case "433" | "464", [*_, why]:
                return [alarm(f"The server refuses: {why}"), Close()]
            case "ERROR", [*_, why]:
                closed = alarm(f"The server closed the connection: {why}")
                return [closed] if self._inside else [closed, Close()]  # who is not let in does not try again
            case _:
                return self._moved(line)
        return []

    def _moved(self, line: Line) -> list[ClientEffect]:
        """Somebody came, left, or took another name."""
        match line.command, line.params:
            case "JOIN", _ if line.nick != self.name:
                return [notice(f"{line.nick} joined")]
            case "QUIT" | "PART", _ if line.nick != self.name:
                return [notice(f"{line.nick} left")]
            case "NICK", [new]:
                self.name = new if line.nick == self.name else self.name
                return [notice(f"{line.nick} is called {new} now")]
        return []

    def say(self, text: str, to: str | None = None) -> list[ClientEffect]:
        """Speak to the channel, or to one member: through the server, there is no other way."""
        return [_send("PRIVMSG", to or CHANNEL, text)]

    def whisper(self, to: str, text: str) -> list[ClientEffect]:
        """The same: IRC calls it a private message."""
        return self.say(text, to)

    def datagram(self, message: Any, source: Address) -> list[ClientEffect]:
        """IRC has none."""
        return []

    def who(self) -> list[ClientEffect]:
        """Ask who is there."""
        return [_send("NAMES", CHANNEL)]


def _send(command: str, *params: str) -> Send:
    return Send(Line(command, list(params)))


class Client(client.Client):
    """The lab's client, with IRC's lines."""

    def encoded(self, message: Message) -> bytes:
        """See `common.client.Client`."""
        if not isinstance(message, Line):
            raise TypeError(f"{message} is no line of IRC")
        return written(message)

    def decoded(self, line: bytes) -> Message:
        """A command that is not known here is passed over, as an ordinary client does."""
        read = parsed(line)
        if read is None:
            if line.strip():
                raise WireError("not-irc", "A line of IRC is a command and its parameters.")
            return Line("", [])
        return read
