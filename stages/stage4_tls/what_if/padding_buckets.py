"""`padding=buckets`: a text is filled up to 64, 256, 1024 or 4096 bytes, so that a listener sees only the bucket.

What it costs: bytes, and length: of a whisper, a datagram holds only the first two buckets. What it does not hide:
that somebody spoke, when, and in which bucket.
"""

from typing import Final

from ..room_key import NotOpened

BUCKETS: Final = (64, 256, 1024, 4096 + 1)
MARK: Final = b"\x80"
"""Ends the text (ISO/IEC 7816-4)."""


class Buckets:
    """Stands where `NoPadding` stands."""

    def pad(self, text: bytes) -> bytes:
        size = next(bucket for bucket in BUCKETS if len(text) < bucket)
        return (text + MARK).ljust(size, b"\0")

    def unpad(self, padded: bytes) -> bytes:
        text, mark, _ = padded.rpartition(MARK)
        if not mark:
            raise NotOpened
        return text
