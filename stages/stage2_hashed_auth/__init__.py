"""Hashed authentication: accounts with passwords, stored as salted, memory-hard hashes."""

from typing import Final

PORT: Final = 5002
CHANGES: Final = (
    "accounts.py",
    "server.py",
    "client.py",
    "compose.py",
    "what_if/__init__.py",
    "what_if/authentication_off.py",
    "what_if/password_hash.py",
    "what_if/sender_from_message.py",
)
"""The files that differ from the stage before, the lever's own first; all others are byte-identical."""

WARNING: Final = (
    "This stage sends passwords and messages in the clear: whoever shares this network can read them, and change what "
    "is said. Use it only among machines of your own, with a password that you use nowhere else."
)
