"""Plaintext: raw text and a claimed name."""

from typing import Final

PORT: Final = 5001
CHANGES: Final = ()
WARNING: Final = (
    "This stage protects nothing: whoever shares this network can read, forge and change everything that is said. "
    "Use it only among machines of your own."
)
