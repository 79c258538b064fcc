"""The words in a message, for whoever has it in their hands: plain, or sealed with a room key that they may have.

The attacks that read, change or make up what somebody says are the same at every stage; what differs is whether the
words stand in the message as they are, and this is the place for that difference.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from msgspec import json
from msgspec.structs import replace

from attacks import Foothold, boxes, exchange
from attacks.tap import tapped
from common.messages import Message
from common.wire import WireError, decoder
from stages import Stage

if TYPE_CHECKING:
    from attacks.listener import Heard


def message_in(stage: Stage, piece: bytes) -> Any:
    """The message in a line or datagram; None where it is none of this stage's."""
    try:
        return decoder(reduce(or_, stage.messages.values())).decode(piece)
    except WireError:
        return None


def kind_of(message: Any) -> str:
    """Its `type`, as on the wire."""
    return str(message.__struct_config__.tag) if message else ""


def words_of(stage: Stage, message: Any, keys: Iterable[bytes]) -> str | None:
    """What somebody says in this message; None where it has no words, or none of the keys opens it."""
    if hasattr(message, "text"):
        return str(message.text)
    if not hasattr(message, "ciphertext") or kind_of(message) not in ("say", "whisper"):
        return None
    return next((text for key in keys if (text := exchange.read(stage, key, message)) is not None), None)


def reworded(stage: Stage, message: Any, keys: Iterable[bytes], text: str, *, ahead: int = 0) -> Message:
    """The same message with other words; where messages are counted, so many further on. One key must open it."""
    if hasattr(message, "text"):
        changed: Message = replace(message, text=text)
        return changed
    key = next(key for key in keys if exchange.read(stage, key, message) is not None)
    sealed: Message = exchange.forge(stage, key, message, text, ahead=ahead)
    return sealed


@contextlib.contextmanager
def overhearing(foothold: Foothold, keys: Callable[[], Iterable[bytes]], read: list[str]) -> Iterator[None]:
    """Listen to the network until the block ends; into `read` goes all that members say and these keys open."""

    def hear(heard: "Heard") -> None:
        words = words_of(foothold.stage, message_in(foothold.stage, json.encode(heard.fields)), keys())
        if words is not None:
            read.append(words)

    with tapped(foothold, hear):
        yield


def memory_of(session: Any) -> list[bytes]:
    """The keys that open what is said, out of the memory of a member's own client."""
    if hasattr(session, "pins"):
        return [*boxes.memory(session), boxes.NO_KEY]
    room_key = getattr(session, "room_key", None)
    return [room_key.key] if room_key else []
