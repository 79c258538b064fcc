"""Bytes to messages and back: newline-delimited JSON, decoded and validated in one step.

The one promise: any bytes at all, whole or in pieces, give messages or a `WireError`, and never another
exception. A `WireError` names a code and a sentence; the runtime turns it into `refused` and closes.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from types import UnionType
from typing import Any, Final, Generic, Protocol, TypeVar, get_args

import msgspec

from common.limits import LINE_BYTES, TEXT_BYTES
from common.messages import Message
from common.text import NAME_PATTERN, NAME_RULE

M = TypeVar("M", bound=Message)

QUOTED: Final = 200
"""How many characters of what a peer wrote stand in an answer."""

_encoder: Final = msgspec.json.Encoder()


class WireError(Exception):
    """The peer broke the protocol. `code` is for programs, `reason` is one sentence for a person."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def encode(message: Message) -> bytes:
    """One message as one line, newline included."""
    return _encoder.encode(message) + b"\n"


def encode_lines(messages: Sequence[Message]) -> bytes:
    """Some messages, a line each: the same bytes as one by one, for a third of the time."""
    return _encoder.encode_lines(messages)


def encode_datagram(message: Message) -> bytes:
    """One message as one datagram."""
    return _encoder.encode(message)


class LineReader:
    """Cuts a byte stream into lines of at most so many bytes."""

    def __init__(self, longest: int = LINE_BYTES) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what arrived, yield the lines that are complete.

        Raises WireError (`too-long`) once a line exceeds the limit, however slowly it arrives.
        """
        *ends, tail = data.split(b"\n")
        for end in ends:
            line = end
            if self._pieces or len(end) >= self._longest:
                self._keep(end)
                line = b"".join(self._pieces)
                self._pieces, self._size = [], 0
            yield line
        if tail:
            self._keep(tail)

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._longest:
            raise WireError("too-long", f"A line is at most {self._longest} bytes; send shorter messages.")

    def end(self) -> None:
        """The stream ended. Raises WireError (`incomplete`) if that was in the middle of a line."""
        if self._size:
            raise WireError("incomplete", "The connection ended in the middle of a line; end each with a newline.")


class Reader(Protocol):
    """Cuts a byte stream into messages' bytes; LineReader is the right one."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Take what arrived."""

    def end(self) -> None:
        """The stream ended."""


class Decoder(Generic[M]):
    """Turns one line or datagram into one of the messages that an endpoint accepts, and nothing else."""

    def __init__(self, accepts: type[M] | UnionType) -> None:
        self.types: tuple[type[M], ...] = get_args(accepts) or (accepts,)
        self._decoder: msgspec.json.Decoder[M] = msgspec.json.Decoder(accepts)
        self._tags = sorted(str(kind.__struct_config__.tag) for kind in self.types)

    def decode(self, line: bytes) -> M:
        """Raises WireError for anything that is not exactly one of the accepted messages."""
        try:
            message = self._decoder.decode(line)
            if len(line) > TEXT_BYTES:
                message.check()
            return message
        except (ValueError, RecursionError) as error:  # msgspec's errors and Unicode's are ValueErrors
            raise self._explain(line, error) from None

    def _explain(self, line: bytes, error: Exception) -> WireError:
        """Only now, when something is wrong, find out what: the good path stays one call."""
        try:
            value: Any = msgspec.json.decode(line.decode("utf-8"))
        except UnicodeError:
            return WireError("not-utf-8", "A message is UTF-8; these bytes are not.")
        except RecursionError:
            return WireError("not-json", "That JSON is nested too deeply; a message is one flat object.")
        except msgspec.DecodeError:
            return WireError("not-json", 'A message is one JSON object a line, as in {"type":"join",…}.')
        if not isinstance(value, dict):
            return WireError("not-an-object", 'A message is a JSON object, as in {"type":"join",…}.')
        if value.get("type") not in self._tags:
            return WireError("unknown-type", f"`type` is one of {', '.join(self._tags)} here.")
        what = str(error).replace(f"Expected `str` matching regex {NAME_PATTERN!r}", f"Expected a name ({NAME_RULE})")
        return WireError("bad-field", f"The fields of `{value['type']}` are not right: {shortened(what)}.")


def shortened(text: str) -> str:
    """What a peer wrote, in a sentence of ours: short enough to stay one."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


@cache
def decoder(accepts: type[M] | UnionType) -> Decoder[M]:
    """The decoder for a set of messages, made once."""
    return Decoder(accepts)
