"""Client-side symmetric encryption: members share a room key, and the server relays what it cannot read."""

from typing import Final

PORT: Final = 5003
CHANGES: Final = (
    "room_key.py",
    "client.py",
    "server.py",
    "counters.py",
    "compose.py",
    "what_if/cipher.py",
    "what_if/key_exchange_passphrase.py",
    "what_if/padding_buckets.py",
    "what_if/replay_protection_on.py",
    "what_if/sender_from_message.py",
)
"""The files that differ from the stage before, the lever's own first; all others are byte-identical."""

WARNING: Final = (
    "This stage sends passwords in the clear, and whoever holds the wire when you join can take the room key. "
    "Use it only among machines of your own, with a password that you use nowhere else."
)
