"""What a thief can steal: the server's recording of what it relayed, and the keys in a member's memory."""

from typing import Any, Final

from common.messages import Message
from common.session import Send, Server, ServerEffect
from common.wire import encode_datagram
from lab.observed import ObservedServer

KEY_BYTES: Final = 32
"""The size of every key in the lab."""


class RecordedServer(ObservedServer):
    """The stage's own server, and a record of every message that its sessions passed on."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.relayed: list[bytes] = []

    def observe(self, session: Any, message: Message, effects: list[ServerEffect]) -> list[ServerEffect]:
        """The same effects, of which each message is written down."""
        self.relayed += [encode_datagram(effect.message) for effect in effects if isinstance(effect, Send)]
        return effects


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
