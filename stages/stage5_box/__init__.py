"""End-to-end boxes: every two members share a key of their own, and pin each other's public keys."""

from typing import Final

PORT: Final = 5005
CHANGES: Final = (
    "box.py",
    "pins.py",
    "client.py",
    "server.py",
    "accounts.py",
    "counters.py",
    "compose.py",
    "room_key.py",
    "what_if/cipher.py",
    "what_if/key_exchange_passphrase.py",
    "what_if/replay_protection_on.py",
    "what_if/pinning.py",
    "what_if/replay_protection_off.py",
    "what_if/sealing_off.py",
    "what_if/padding_buckets.py",
    "what_if/sender_from_message.py",
)
"""The files that differ from the stage before, the lever's own first; all others are byte-identical."""

WARNING: Final = ""
