"""The messages that all stages share. A lever's own messages stand in that lever's file.

On TCP one JSON object a line; on UDP (`Whisper`) one object a datagram. The field `type` says which message
it is. Decoding checks every type and bound written here; an unknown or missing field is an error.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from common.limits import TEXT_BYTES
from common.text import IPV4_PATTERN, Name

Port = Annotated[int, Meta(ge=1, le=65535)]
IPv4 = Annotated[str, Meta(pattern=IPV4_PATTERN)]
"""Written out: a name here would make whoever whispers look it up."""


def _check_size(text: str) -> None:
    if len(text.encode()) > TEXT_BYTES:
        raise ValueError(f"a text is at most {TEXT_BYTES} bytes of UTF-8")


Words = Annotated[str, Meta(min_length=1)]
"""What somebody says: not empty, and at most TEXT_BYTES, which `_check_size` sees to."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all messages have in common: immutable, and exactly the fields that are declared."""

    def check(self) -> None:
        """Raises ValueError for a text that is too long. Asked where a message took more than TEXT_BYTES: one that took
        less holds no such text, and most messages are that short."""


class Presence(Message, frozen=True, kw_only=True):
    """Who somebody says they are, and where their whispers are to be sent."""

    name: Name
    address: IPv4
    udp_port: Port


class Join(Message, frozen=True, kw_only=True, tag="join"):
    """Client to server, first of all: let me in under this name; whispers reach me at this UDP port."""

    name: Name
    udp_port: Port


class Say(Message, frozen=True, kw_only=True, tag="say"):
    """Client to server, and from there to the room, or to one member where `to` is given."""

    sender: Name = msgspec.field(name="from")
    to: Name | None = None
    text: Words

    def check(self) -> None:
        _check_size(self.text)


class Whisper(Message, frozen=True, kw_only=True, tag="whisper"):
    """From member to member over UDP; the server never sees it."""

    sender: Name = msgspec.field(name="from")
    to: Name
    text: Words

    def check(self) -> None:
        _check_size(self.text)


class Roster(Message, frozen=True, kw_only=True, tag="roster"):
    """Server to whoever joins: all who are there, the newcomer included; `more` announces another page."""

    members: list[Presence]
    more: bool = False


class Joined(Presence, frozen=True, kw_only=True, tag="joined"):
    """Server to all others: somebody came."""


class Left(Message, frozen=True, kw_only=True, tag="left"):
    """Server to all others: somebody went."""

    name: Name


class Undelivered(Message, frozen=True, kw_only=True, tag="undelivered"):
    """Server to a sender: the member you wrote to is not there."""

    to: Name


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    """Server to a client, last of all: why the connection is closed. `code` is for programs, `reason` for people."""

    code: str
    reason: str
