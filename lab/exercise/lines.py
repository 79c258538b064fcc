"""What the bench and the learner's programs may say to each other: one JSON object a datagram, strictly checked.

Everything that comes from a program was perhaps written by the learner's code: the bench takes these messages, of this
size, and nothing else.
"""

from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

LINE_BYTES: Final = 150_000
"""The longest message in either direction: below what a socket of this kind takes by default."""
SHOWN_CHARACTERS: Final = 20_000

Short = Annotated[str, Meta(max_length=300)]
Words = Annotated[str, Meta(max_length=SHOWN_CHARACTERS)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """What all have in common."""


# From the bench to whoever forks.


class Fork(Line, frozen=True):
    """Start a program; its socket, and a file for what it prints, come with this. home: where it writes; two programs
    have one home only where one is the other, started again."""

    number: int
    home: str


class Kill(Line, frozen=True):
    """End a program."""

    number: int


class Clear(Line, frozen=True):
    """Throw away the homes whose names begin so."""

    homes: str


# From the bench to a program.


class Import(Line, frozen=True):
    """Import all of the learner's package."""


class Serve(Line, frozen=True):
    """Be the server."""

    folder: str
    port: Port


class Join(Line, frozen=True):
    """Be somebody's client. `ca`: the authority's certificate, given out of band, where the stage has one."""

    folder: str
    host: str
    server: tuple[str, Port]
    name: str
    password: str
    register: bool
    ca: str = ""


class Answer(Line, frozen=True):
    """The answer to an Ask: a socket comes with it, or an address stands in it, or why not."""

    id: int
    text: str = ""
    refused: str = ""


class Typed(Line, frozen=True):
    """The person typed a line."""

    text: str


class Leave(Line, frozen=True):
    """Close the client."""


class Remove(Line, frozen=True):
    """The operator removes an account."""

    name: str


class Ping(Line, frozen=True):
    """Are you there?"""


class Call(Line, frozen=True):
    """Call a function of `lab.exercise.calls`."""

    name: str
    arguments: list[Any]


# From a program to the bench.


class Ready(Line, frozen=True):
    """The child stands, and its programs are isolated, or why not."""

    isolated: bool
    why_not: Short
    place: Short
    """The path of a program's home, as the program has it; `{home}` in it is the home's name."""


class Tried(Line, frozen=True):
    """Can programs be apart, and what is missing? Said in the child only."""

    apart: bool
    why_not: Short


class Home(Line, frozen=True):
    """What a program says first, before the learner's code is there; a descriptor of its home comes with it."""


class Imported(Line, frozen=True):
    """The learner's package could be imported."""


class Failed(Line, frozen=True):
    """The learner's code raised something that nobody caught."""

    error: Short
    text: Short = ""
    file: Short = ""
    function: Short = ""
    line: int = 0


class Ask(Line, frozen=True):
    """Make a socket, or look up a name: `listen`, `connect`, `bind_udp`, `resolve`."""

    id: int
    do: Short
    address: Short = ""
    port: Port = 0


class Started(Line, frozen=True):
    """The server serves, or the client is connected."""


class Refused(Line, frozen=True):
    """The client did not go on, and says why, as a person would read it."""

    why: Words


class Shown(Line, frozen=True):
    """The client shows something."""

    kind: Short
    text: Words
    sender: Short = ""


class Pong(Line, frozen=True):
    """Yes."""


class Ended(Line, frozen=True):
    """The client has ended."""


class Returned(Line, frozen=True):
    """What a call returned."""

    value: Any = None
    raised: Short = ""
    """The name of the error that the protocol foresees, such as NotOpened."""


FromBench: TypeAlias = Serve | Join | Answer | Typed | Leave | Remove | Ping | Call | Import
ToNursery: TypeAlias = Fork | Kill | Clear
FromProgram: TypeAlias = Home | Imported | Failed | Ask | Started | Refused | Shown | Pong | Ended | Returned

encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")


class Nonsense(Exception):
    """Bytes that are no message of the kind that is expected."""


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """What the learner's side said, whatever bytes these are. Raises Nonsense, and nothing else."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Nonsense from error
