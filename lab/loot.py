"""What a thief can steal: the server's recording of what it relayed, and the keys in a member's memory."""

from typing import Any, Final

from common.messages import Message
from common.session import Send, Server, ServerEffect, ServerSession, Work
from common.wire import encode_datagram

KEY_BYTES: Final = 32
"""The size of every key in the lab."""


class RecordedServer:
    """The stage's own server, and a record of every message that its sessions passed on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.relayed: list[bytes] = []

    def session(self, address: str) -> ServerSession:
        """The stage's own session, with the recorder behind it."""
        session = self.server.session(address)
        honest = session.received

        def received(message: Message) -> list[ServerEffect]:
            return self._recorded(honest(message))

        session.received = received  # type: ignore[method-assign]
        return session

    def _recorded(self, effects: list[ServerEffect]) -> list[ServerEffect]:
        """The same effects, of which each message is written down; slow work is when its result is there."""
        self.relayed += [encode_datagram(effect.message) for effect in effects if isinstance(effect, Send)]
        return [self._after(effect) if isinstance(effect, Work) else effect for effect in effects]

    def _after(self, work: Work) -> Work:
        return work._replace(then=lambda result: self._recorded(work.then(result)))

    def remove(self, name: str) -> list[ServerEffect]:
        """The operator takes a member's place away."""
        return self.server.remove(name)


def keys_in(memory: object) -> dict[str, bytes]:
    """What looks like a key in a program's memory: every 32 bytes, and every private key, by where it lies."""
    found: dict[str, bytes] = {}
    _search(memory, "", found, set())
    return found


def _search(value: Any, where: str, found: dict[str, bytes], seen: set[int]) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if hasattr(value, "private_bytes_raw"):
        found[where] = value.private_bytes_raw()
    elif hasattr(type(value), "__bytes__"):  # bytes themselves, and PyNaCl's keys
        if len(bytes(value)) == KEY_BYTES:
            found[where] = bytes(value)
    elif isinstance(value, dict | list | tuple):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            _search(part, f"{where}[{name}]", found, seen)
    elif type(value).__module__.startswith("stages."):
        for name, part in getattr(value, "__dict__", {}).items():
            _search(part, f"{where}.{name}".removeprefix("."), found, seen)
